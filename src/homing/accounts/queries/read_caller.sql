-- Who is calling, and does it still hold? No row for a session that never was. The role is the user's of this moment,
-- not the token's.
SELECT u.role,
       u.is_active AND s.revoked_at IS NULL AND s.expires_at > now() AS open,
       d.id AS device_id,
       d.status::text AS device_status,
       d.user_id = u.id AS device_is_own
FROM homing.sessions s
JOIN homing.users u ON u.id = s.user_id
LEFT JOIN homing.mobile_devices d ON d.device_id = %(device)s::text
WHERE s.id = %(session)s AND u.id = %(user)s
