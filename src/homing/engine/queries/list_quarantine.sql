-- Refused items that wait for a person, newest first, a page. A line that ends in "when" stays only where that filter is
-- asked for (homing/postgres/lines.py): those of a device then go along an index of its own.
-- include _item_shown
WHERE i.quarantined_at IS NOT NULL AND i.discarded_at IS NULL
  AND i.device_id = (SELECT m.id FROM homing.mobile_devices m WHERE m.device_id = %(device)s::text)  -- when device
  AND i.resource_type = %(resource_type)s::text  -- when resource_type
  AND i.id = %(item)s::uuid  -- when item
  AND (i.quarantined_at, i.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY i.quarantined_at DESC, i.id DESC LIMIT %(limit)s
