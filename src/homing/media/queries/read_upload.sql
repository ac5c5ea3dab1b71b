-- What was promised of an upload, while its owner and the device that began it are still welcome: a signed address
-- outlives neither.
SELECT m.filename, m.content_type, m.size_bytes, m.sha256
FROM homing.media m
JOIN homing.users u ON u.id = m.user_id AND u.is_active
LEFT JOIN homing.mobile_devices d ON d.id = m.device_id
WHERE m.key = %(key)s AND d.status IS DISTINCT FROM 'revoked'
