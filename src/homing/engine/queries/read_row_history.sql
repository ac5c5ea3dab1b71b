-- What happened to one row, newest first, a page. By time and not by version: a row that was deleted and made again
-- counts its versions anew. Hidden columns stay hidden.
SELECT h.version, h.action::text, h.actor, u.username, d.device_id, h.at,
       (h.changes - %(hidden)s::text[])::text, h.batch_id
FROM homing.history h
LEFT JOIN homing.users u  -- by its key: as text every user would be read
    ON u.id = CASE WHEN h.actor ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN h.actor::uuid END
LEFT JOIN homing.mobile_devices d ON d.id = h.device_id
WHERE h.table_id = %(table_id)s AND h.row_id = %(row_id)s::text
  AND (%(before_at)s::timestamptz IS NULL OR (h.at, h.version) < (%(before_at)s::timestamptz, %(before_version)s::int))
ORDER BY h.at DESC, h.version DESC LIMIT %(limit)s
