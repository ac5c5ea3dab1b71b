-- Spec 3, "Get Enrollment Tokens by Creator": a page of them, along the index on creator and time.
-- include _enrollment_shown
WHERE et.created_by = %(created_by)s
  AND (%(after_at)s::timestamptz IS NULL OR (et.created_at, et.id) < (%(after_at)s, %(after_id)s::uuid))
  AND (%(state)s::text IS NULL OR s.state = %(state)s)
ORDER BY et.created_at DESC, et.id DESC
LIMIT %(limit)s
