-- What happened to one row, newest first, a page.
SELECT h.version, h.action::text, h.actor, u.username, d.device_id, h.at, h.changes::text, h.batch_id
FROM homing.history h LEFT JOIN homing.users u ON u.id::text = h.actor LEFT JOIN homing.mobile_devices d ON d.id = h.device_id
WHERE h.table_id = %(table_id)s AND h.row_id = %(row_id)s::text AND (%(before)s::int IS NULL OR h.version < %(before)s::int)
ORDER BY h.version DESC, h.at DESC LIMIT %(limit)s
