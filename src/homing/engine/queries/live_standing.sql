-- template: of many callers at once what is_caller.sql asks of one, and the digest of the scopes each one holds.
SELECT u.role, u.user_type, u.is_active AND s.revoked_at IS NULL AND s.expires_at > now() AS valid,
       d.id, d.status::text, d.user_id = u.id AS own, held.digest
FROM unnest(%(users)s::uuid[], %(sessions)s::uuid[], %(devices)s::text[]) WITH ORDINALITY
     AS homing_caller (user_id, session_id, device, n)
LEFT JOIN homing.users u ON u.id = homing_caller.user_id
LEFT JOIN homing.sessions s ON s.id = homing_caller.session_id AND s.user_id = u.id
LEFT JOIN homing.mobile_devices d ON d.device_id = homing_caller.device
CROSS JOIN LATERAL (SELECT %%(digest)s AS digest FROM (%%(held)s) AS homing_held (scope)) AS held
ORDER BY homing_caller.n
