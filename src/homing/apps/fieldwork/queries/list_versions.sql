-- One page of a form's versions, newest first, as places (when published, id); see list_submissions.sql for "when".
SELECT v.published_at::text, v.id
FROM fieldwork.form_versions v
WHERE v.form_id = %(form_id)s::uuid
  AND (v.published_at, v.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY v.published_at DESC, v.id DESC
LIMIT %(limit)s
