-- Refused items that wait for a person, newest first, a page.
SELECT i.id, i.position, i.client_temp_id, i.resource_type, i.action::text, i.payload::text, i.client_version,
       i.server_version, i.status::text, i.error_message, i.row_id, i.code, i.merged, i.conflict_id, i.edited_at,
       i.quarantined_at, i.discarded_at, i.discard_reason, i.created_at, i.updated_at, i.batch_id, d.device_id
FROM homing.sync_items i LEFT JOIN homing.mobile_devices d ON d.id = i.device_id
WHERE i.quarantined_at IS NOT NULL AND i.discarded_at IS NULL
  AND (%(device)s::text IS NULL OR d.device_id = %(device)s::text)
  AND (%(resource_type)s::text IS NULL OR i.resource_type = %(resource_type)s::text)
  AND (%(item)s::uuid IS NULL OR i.id = %(item)s::uuid)
  AND (%(after_at)s::timestamptz IS NULL OR (i.quarantined_at, i.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY i.quarantined_at DESC, i.id DESC LIMIT %(limit)s
