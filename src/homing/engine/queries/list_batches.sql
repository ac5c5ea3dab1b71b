-- Batches, newest first, a page, with how their items ended. A line that ends in "when" stays only where that filter is
-- asked for (homing/postgres/lines.py), so that each combination goes along its own index.
SELECT b.id, b.batch_token, d.device_id, u.username, b.status::text, b.items_count, b.created_at, b.processed_at,
       b.atomic, b.held_reason,
       (SELECT json_object_agg(s.status, s.n) FROM (SELECT i.status, count(*) AS n FROM homing.sync_items i
          WHERE i.batch_id = b.id GROUP BY i.status) s)::text
FROM homing.sync_batches b
LEFT JOIN homing.mobile_devices d ON d.id = b.device_id
LEFT JOIN homing.users u ON u.id = b.user_id
WHERE true
  AND b.status = %(status)s::text::homing.batch_status  -- when status
  AND b.device_id = (SELECT m.id FROM homing.mobile_devices m WHERE m.device_id = %(device)s::text)  -- when device
  AND b.held_reason IS NOT NULL AND b.status = 'received'  -- when held
  AND b.held_reason IS NULL  -- when unheld
  AND b.id = %(batch)s::uuid  -- when batch
  AND (b.created_at, b.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY b.created_at DESC, b.id DESC LIMIT %(limit)s
