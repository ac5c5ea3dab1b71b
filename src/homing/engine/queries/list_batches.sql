-- Batches, newest first, a page, with how their items ended.
SELECT b.id, b.batch_token, d.device_id, u.username, b.status::text, b.items_count, b.created_at, b.processed_at,
       b.atomic, b.held_reason,
       (SELECT json_object_agg(s.status, s.n) FROM (SELECT i.status, count(*) AS n FROM homing.sync_items i
          WHERE i.batch_id = b.id GROUP BY i.status) s)::text
FROM homing.sync_batches b
LEFT JOIN homing.mobile_devices d ON d.id = b.device_id
LEFT JOIN homing.users u ON u.id = b.user_id
WHERE (%(status)s::text IS NULL OR b.status = %(status)s::text::homing.batch_status)
  AND (%(held)s::boolean IS NULL OR (b.held_reason IS NOT NULL) = %(held)s::boolean)
  AND (%(batch)s::uuid IS NULL OR b.id = %(batch)s::uuid)
  AND (%(after_at)s::timestamptz IS NULL OR (b.created_at, b.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY b.created_at DESC, b.id DESC LIMIT %(limit)s
