-- A session with its first refresh token.
WITH session AS (
    INSERT INTO homing.sessions (user_id, device_id, platform, created_at, last_used_at, expires_at)
    VALUES (%(user)s, %(device)s, %(platform)s, %(now)s, %(now)s, %(expires_at)s)
    RETURNING id
)
INSERT INTO homing.refresh_tokens (token_hash, session_id, issued_at)
SELECT %(token_hash)s, id, %(now)s FROM session
RETURNING session_id
