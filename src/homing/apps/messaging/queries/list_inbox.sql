-- The spec's inbox, as places (when made, id), newest first: by keyset, where the spec has LIMIT and OFFSET (ADR 40).
-- A line that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py).
SELECT m.created_at::text, m.id
FROM messaging.messages m
WHERE m.recipient_id = %(user)s
  AND m.status = %(status)s  -- when status
  AND m.status <> 'read'  -- when unread
  AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s
