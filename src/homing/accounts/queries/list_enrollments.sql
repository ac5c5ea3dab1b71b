-- A page of everybody's tokens, the newest first; or the one of an id.
-- include _enrollment_shown
WHERE (%(id)s::uuid IS NULL OR et.id = %(id)s)
  AND (%(after_at)s::timestamptz IS NULL OR (et.created_at, et.id) < (%(after_at)s, %(after_id)s::uuid))
  AND (%(state)s::text IS NULL OR s.state = %(state)s)
ORDER BY et.created_at DESC, et.id DESC
LIMIT %(limit)s
