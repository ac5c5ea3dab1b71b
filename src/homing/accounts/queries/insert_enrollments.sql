-- Tokens for several people at once, with one moment of expiry, by the database's clock. The handle is also the id.
INSERT INTO homing.enrollment_tokens
    (id, token, created_by, tenant_id, expires_at, role, username, secret_hash, server_key)
SELECT n.id, n.id, %(created_by)s, %(tenant)s, now() + make_interval(secs => %(seconds)s), n.role, n.username,
       n.secret_hash, %(server_key)s
FROM unnest(%(ids)s::uuid[], %(roles)s::text[], %(usernames)s::text[], %(hashes)s::bytea[])
    AS n (id, role, username, secret_hash)
RETURNING expires_at
