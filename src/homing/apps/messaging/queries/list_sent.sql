-- What somebody sent, as places (when made, id), newest first; see list_inbox.sql for "when".
SELECT m.created_at::text, m.id
FROM messaging.messages m
WHERE m.sender_id = %(user)s
  AND m.status = %(status)s  -- when status
  AND m.status <> 'read'  -- when unread
  AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s
