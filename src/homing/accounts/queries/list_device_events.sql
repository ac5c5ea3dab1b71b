-- What happened to a device, the newest first.
SELECT id, kind, at, user_id, details FROM homing.device_events
WHERE device_id = %(device)s AND (%(after)s::bigint IS NULL OR id < %(after)s)
ORDER BY id DESC LIMIT %(limit)s
