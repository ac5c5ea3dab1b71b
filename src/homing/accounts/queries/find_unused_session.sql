-- The session that begins with one of these refresh tokens, while nobody redeemed it.
SELECT s.id, s.user_id, u.role, s.device_id, s.platform, t.token_hash
FROM homing.refresh_tokens t
JOIN homing.sessions s ON s.id = t.session_id
JOIN homing.users u ON u.id = s.user_id
LEFT JOIN homing.mobile_devices d ON d.device_id = s.device_id
WHERE t.token_hash = ANY (%(hashes)s::bytea[]) AND t.used_at IS NULL
  AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active AND d.status <> 'revoked'
