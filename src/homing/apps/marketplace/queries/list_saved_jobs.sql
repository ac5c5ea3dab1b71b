-- What somebody saved, as places (when saved, id), newest first; see list_jobs.sql for "when".
SELECT s.created_at::text, s.id
FROM marketplace.saved_jobs s
WHERE s.user_id = %(user)s::uuid
  AND (s.created_at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY s.created_at DESC, s.id DESC
LIMIT %(limit)s
