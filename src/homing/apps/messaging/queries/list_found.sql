-- Messages with these words, as places (when made, id), newest first; see list_inbox.sql for "when". The words are looked up
-- first and by themselves (schema/0003_words.sql): whoever looks for a rare one must not wait for a walk over the inbox.
SELECT m.created_at::text, m.id
FROM messaging.find_words(%(q)s) AS m
WHERE %(user)s IN (m.sender_id, m.recipient_id)
  AND m.recipient_id = %(user)s  -- when inbox
  AND m.sender_id = %(user)s  -- when sent
  AND %(partner)s IN (m.sender_id, m.recipient_id) AND (%(partner)s = %(user)s) = (m.sender_id = m.recipient_id)  -- when partner
  AND m.status = %(status)s  -- when status
  AND m.status <> 'read'  -- when unread
  AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s
