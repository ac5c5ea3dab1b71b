-- Messages with these words, as places (when made, id), newest first; see list_inbox.sql for "when". A frequent word is
-- found among the newest messages of the box or the conversation, so they are walked through first. Where no page is
-- among so many, the words are rare: then they are looked up by themselves (schema/0003_words.sql), because whoever looks
-- for a rare one must not wait for a walk over all they ever got.
WITH near AS MATERIALIZED (
    SELECT w.created_at, w.id FROM (
        (SELECT m.created_at, m.id, m.content FROM messaging.messages m
         WHERE m.recipient_id = %(user)s
           AND m.sender_id = %(partner)s  -- when partner
           AND false  -- when sent
           AND m.status = %(status)s  -- when status
           AND m.status <> 'read'  -- when unread
           AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
         ORDER BY m.created_at DESC, m.id DESC LIMIT 500 + 5 * %(limit)s::int)
        UNION ALL
        (SELECT m.created_at, m.id, m.content FROM messaging.messages m
         WHERE m.sender_id = %(user)s
           AND m.recipient_id = %(partner)s AND m.recipient_id <> m.sender_id  -- when partner
           AND false  -- when inbox
           AND m.status = %(status)s  -- when status
           AND m.status <> 'read'  -- when unread
           AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
         ORDER BY m.created_at DESC, m.id DESC LIMIT 500 + 5 * %(limit)s::int)
        ORDER BY created_at DESC, id DESC LIMIT 500 + 5 * %(limit)s::int) w
    WHERE to_tsvector('simple', w.content) @@ websearch_to_tsquery('simple', %(q)s)
    ORDER BY w.created_at DESC, w.id DESC LIMIT %(limit)s::int
), enough AS MATERIALIZED (
    SELECT count(*) >= %(limit)s::int AS said FROM near
)
SELECT t.created_at::text, t.id FROM (
    SELECT n.created_at, n.id FROM near n WHERE (SELECT e.said FROM enough e)
    UNION ALL
    (SELECT m.created_at, m.id
     FROM messaging.find_words(%(q)s) AS m
     WHERE NOT (SELECT e.said FROM enough e)
       AND %(user)s IN (m.sender_id, m.recipient_id)
       AND m.recipient_id = %(user)s  -- when inbox
       AND m.sender_id = %(user)s  -- when sent
       AND %(partner)s IN (m.sender_id, m.recipient_id) AND (%(partner)s = %(user)s) = (m.sender_id = m.recipient_id)  -- when partner
       AND m.status = %(status)s  -- when status
       AND m.status <> 'read'  -- when unread
       AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY m.created_at DESC, m.id DESC LIMIT %(limit)s::int)
) t
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s::int
