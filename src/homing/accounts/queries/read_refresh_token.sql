-- A refresh token, and whether its session may still be used: the user active, the device not revoked.
-- The successors' hashes tell which key made them.
SELECT s.id AS session_id, s.user_id, u.role, s.device_id AS device_name, s.platform,
       s.revoked_at IS NULL AND s.expires_at > %(now)s AND u.is_active
           AND coalesce(d.status <> 'revoked', true) AS open,
       t.parent_hash, t.issued_at, t.spent_at IS NOT NULL AS spent, d.public_key,
       ARRAY(SELECT n.token_hash FROM homing.refresh_tokens n
             WHERE n.session_id = s.id AND n.parent_hash = t.token_hash) AS successor_hashes
FROM homing.refresh_tokens t
JOIN homing.sessions s ON s.id = t.session_id
JOIN homing.users u ON u.id = s.user_id
LEFT JOIN homing.mobile_devices d ON d.device_id = s.device_id
WHERE t.token_hash = %(token_hash)s
