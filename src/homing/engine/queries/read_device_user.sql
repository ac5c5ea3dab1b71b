-- A device, its user, and what it acked.
SELECT d.id, d.user_id, u.username, u.role, d.status::text, c.snapshot::text, c.epoch, c.acked_at, d.last_seen,
       (SELECT epoch FROM homing.epoch)
FROM homing.mobile_devices d LEFT JOIN homing.users u ON u.id = d.user_id LEFT JOIN homing.cursors c ON c.device_id = d.id
WHERE d.device_id = %(device)s::text
