-- Operations, the newest first.
SELECT id, user_id, operation, entity_type, entity_id, payload, retry_count, status, error, created_at, processed_at
FROM crm.sync_queue
WHERE (%(user)s::uuid IS NULL OR user_id = %(user)s::uuid)
  AND (%(status)s::text IS NULL OR status = %(status)s::text)
  AND (%(after_at)s::timestamptz IS NULL OR (created_at, id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s
