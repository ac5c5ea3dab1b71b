-- One page of forms, newest first, as places (when made, id); see list_submissions.sql for "when".
SELECT f.created_at::text, f.id
FROM fieldwork.mobile_forms f
WHERE true
  AND f.published  -- when worker
  AND (f.created_at, f.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY f.created_at DESC, f.id DESC
LIMIT %(limit)s
