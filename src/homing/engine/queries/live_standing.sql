-- template: of many callers at once what is_caller.sql asks of one, and the digest of the scopes each one holds. (Each is
-- looked up by its key alone: by a plan that was made when there were few, all devices would be read.)
SELECT u.role, u.user_type, u.is_active AND s.revoked_at IS NULL AND s.expires_at > now() AS valid,
       d.id, d.status::text, d.user_id = u.id AS own, held.digest
FROM unnest(%(users)s::uuid[], %(sessions)s::uuid[], %(devices)s::text[]) WITH ORDINALITY
     AS homing_caller (user_id, session_id, device, n)
LEFT JOIN LATERAL (SELECT * FROM homing.users WHERE id = homing_caller.user_id OFFSET 0) u ON true
LEFT JOIN LATERAL (SELECT * FROM homing.sessions WHERE id = homing_caller.session_id OFFSET 0) s ON s.user_id = u.id
LEFT JOIN LATERAL (SELECT * FROM homing.mobile_devices WHERE device_id = homing_caller.device OFFSET 0) d ON true
CROSS JOIN LATERAL (SELECT %%(digest)s AS digest FROM (%%(held)s) AS homing_held (scope)) AS held
ORDER BY homing_caller.n
