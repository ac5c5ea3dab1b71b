-- Whose batch it is: the device and user whose rights a replay has.
SELECT b.id, b.user_id, u.role, u.is_active, d.id, d.device_id, d.status::text, b.client_sync_token, b.atomic, b.created_at
FROM homing.sync_batches b
LEFT JOIN homing.users u ON u.id = b.user_id
LEFT JOIN homing.mobile_devices d ON d.id = b.device_id
WHERE b.id = %(batch)s
FOR UPDATE OF b
