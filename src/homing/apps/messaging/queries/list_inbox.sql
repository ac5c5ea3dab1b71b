-- The spec's inbox, as places (when made, id), newest first: by keyset, where the spec has LIMIT and OFFSET (ADR 40).
-- A line that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py). Words are looked up
-- first and by themselves, in the index on words: whoever looks for a rare one must not wait for a walk over the inbox.
SELECT m.created_at::text, m.id
FROM messaging.messages m
WHERE m.recipient_id = %(user)s
  AND m.status = %(status)s  -- when status
  AND m.status <> 'read'  -- when unread
  AND m.id = ANY (ARRAY(SELECT w.id FROM messaging.messages w WHERE to_tsvector('simple', w.content) @@ websearch_to_tsquery('simple', %(q)s) AND w.recipient_id = %(user)s))  -- when q
  AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s
