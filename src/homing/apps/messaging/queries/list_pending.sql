-- The spec's pending messages for a device, as places (when made, id), oldest first; see list_inbox.sql for "when". Whose
-- device it is says the registry: users.device_id is only the one somebody was enrolled with.
SELECT m.created_at::text, m.id
FROM messaging.messages m
WHERE m.recipient_id = (SELECT d.user_id FROM homing.mobile_devices d WHERE d.device_id = %(device)s)
  AND m.status = 'pending_sync'
  AND (m.created_at, m.id) > (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at, m.id
LIMIT %(limit)s
