-- What two people wrote to each other, as places (when made, id), newest first; see list_inbox.sql for "when". Each
-- direction is an index scan that stops at the page's end; one scan with OR would read and sort the whole conversation.
SELECT t.created_at::text, t.id
FROM (
    (SELECT m.created_at, m.id FROM messaging.messages m
     WHERE m.sender_id = %(user)s AND m.recipient_id = %(partner)s
       AND m.status = %(status)s  -- when status
       AND m.status <> 'read'  -- when unread
       AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY m.created_at DESC, m.id DESC
     LIMIT %(limit)s)
    UNION  -- not ALL: with oneself, both directions are one
    (SELECT m.created_at, m.id FROM messaging.messages m
     WHERE m.sender_id = %(partner)s AND m.recipient_id = %(user)s
       AND m.status = %(status)s  -- when status
       AND m.status <> 'read'  -- when unread
       AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY m.created_at DESC, m.id DESC
     LIMIT %(limit)s)
) AS t
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s
