-- Refused items that wait for a person, newest first, a page. A line that ends in "when" stays only where that filter is
-- asked for (homing/postgres/lines.py): those of a device then go along an index of its own.
SELECT i.id, i.position, i.client_temp_id, i.resource_type, i.action::text, i.payload::text, i.client_version,
       i.server_version, i.status::text, i.error_message, i.row_id, i.code, i.merged, i.conflict_id, i.edited_at,
       i.quarantined_at, i.discarded_at, i.discard_reason, i.created_at, i.updated_at, i.batch_id, d.device_id
FROM homing.sync_items i LEFT JOIN homing.mobile_devices d ON d.id = i.device_id
WHERE i.quarantined_at IS NOT NULL AND i.discarded_at IS NULL
  AND i.device_id = (SELECT m.id FROM homing.mobile_devices m WHERE m.device_id = %(device)s::text)  -- when device
  AND i.resource_type = %(resource_type)s::text  -- when resource_type
  AND i.id = %(item)s::uuid  -- when item
  AND (i.quarantined_at, i.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY i.quarantined_at DESC, i.id DESC LIMIT %(limit)s
