-- Somebody's messages, as places (when made, id), newest first; see list_jobs.sql for "when". Each direction is an index
-- scan that stops at the page's end; one scan with OR would read and sort everything.
SELECT t.created_at::text, t.id
FROM (
    (SELECT m.created_at, m.id FROM marketplace.messages m
     WHERE m.sender_id = %(user)s::uuid
       AND m.recipient_id = %(partner)s::uuid  -- when partner
       AND m.job_id = %(job)s::uuid  -- when job
       AND false  -- when unread
       AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY m.created_at DESC, m.id DESC
     LIMIT %(limit)s)
    UNION ALL
    (SELECT m.created_at, m.id FROM marketplace.messages m
     WHERE m.recipient_id = %(user)s::uuid
       AND m.sender_id = %(partner)s::uuid  -- when partner
       AND m.job_id = %(job)s::uuid  -- when job
       AND NOT m.is_read  -- when unread
       AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY m.created_at DESC, m.id DESC
     LIMIT %(limit)s)
) AS t
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s
