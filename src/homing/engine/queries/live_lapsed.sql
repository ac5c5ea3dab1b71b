-- Of many callers the places of those whose access token no longer holds. Asked every second about everybody who is
-- connected, so it looks up three keys a caller and returns next to nothing.
SELECT c.n
FROM unnest(%(users)s::uuid[], %(sessions)s::uuid[], %(devices)s::text[], %(roles)s::text[]) WITH ORDINALITY
     AS c (user_id, session_id, device, role, n)
LEFT JOIN homing.users u ON u.id = c.user_id
LEFT JOIN homing.sessions s ON s.id = c.session_id AND s.user_id = u.id
LEFT JOIN homing.mobile_devices d ON d.device_id = c.device
WHERE (u.is_active AND u.role = c.role AND s.revoked_at IS NULL AND s.expires_at > now()
       AND (c.device IS NULL OR (d.status = 'active' AND d.user_id = u.id))) IS NOT TRUE
ORDER BY c.n
