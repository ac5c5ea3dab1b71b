-- Conflicts, newest first, a page. Every filter may be NULL.
SELECT c.id, c.resource_type, c.row_id, c.code, c.action::text, c.resolution::text, c.resolution_action::text, c.fields,
       c.server_version, c.base_version, c.created_at, c.resolved_at, c.resolved_by, d.device_id, u.username, c.policy::text
FROM homing.conflicts c
LEFT JOIN homing.mobile_devices d ON d.id = c.device_id
LEFT JOIN homing.users u ON u.id = c.user_id
WHERE (%(resolution)s::text IS NULL OR c.resolution = %(resolution)s::text::homing.conflict_resolution)
  AND (%(resource_type)s::text IS NULL OR c.resource_type = %(resource_type)s::text)
  AND (%(device)s::text IS NULL OR d.device_id = %(device)s::text)
  AND (%(user)s::uuid IS NULL OR c.user_id = %(user)s::uuid)
  AND (%(person)s::text IS NULL OR position(lower(%(person)s::text) IN lower(concat_ws(' ', u.username, u.name))) > 0)
  AND (%(code)s::text IS NULL OR c.code = %(code)s::text)
  AND (%(before)s::timestamptz IS NULL OR c.created_at < %(before)s::timestamptz)
  AND (%(after_at)s::timestamptz IS NULL OR (c.created_at, c.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY c.created_at DESC, c.id DESC LIMIT %(limit)s
