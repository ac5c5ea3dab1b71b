-- template: who is calling, and does it still hold? One row if the user exists, none otherwise.
SELECT u.role, u.is_active AND s.revoked_at IS NULL AND s.expires_at > now() AS valid,
       d.id AS device_id, d.status::text AS status, d.user_id = u.id AS own,
       floor(extract(epoch FROM d.resync_at))::bigint AS resync_at
FROM homing.users u
JOIN homing.sessions s ON s.id = %(session)s AND s.user_id = u.id
LEFT JOIN homing.mobile_devices d ON d.device_id = %(device)s::text
WHERE u.id = %(user)s
