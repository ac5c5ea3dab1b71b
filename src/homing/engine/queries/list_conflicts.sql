-- Conflicts, newest first, a page, along the index of those that wait or of those that were decided. A line that ends in
-- "when" stays only where that filter is asked for (homing/postgres/lines.py).
SELECT c.id, c.resource_type, c.row_id, c.code, c.action::text, c.resolution::text, c.resolution_action::text, c.fields,
       c.server_version, c.base_version, c.created_at, c.resolved_at, c.resolved_by, d.device_id, u.username, c.policy::text
FROM homing.conflicts c
LEFT JOIN homing.mobile_devices d ON d.id = c.device_id
LEFT JOIN homing.users u ON u.id = c.user_id
WHERE true
  AND c.resolution = %(resolution)s::text::homing.conflict_resolution  -- when resolution
  AND c.resource_type = %(resource_type)s::text  -- when resource_type
  AND c.device_id = (SELECT m.id FROM homing.mobile_devices m WHERE m.device_id = %(device)s::text)  -- when device
  AND c.user_id = %(user)s::uuid  -- when user
  AND position(lower(%(person)s::text) IN lower(concat_ws(' ', u.username, u.name))) > 0  -- when person
  AND c.code = %(code)s::text  -- when code
  AND c.created_at < %(before)s::timestamptz  -- when before
  AND (c.created_at, c.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY c.created_at DESC, c.id DESC LIMIT %(limit)s
