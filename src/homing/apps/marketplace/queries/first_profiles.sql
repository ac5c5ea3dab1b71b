-- Places of the profiles of people the caller has to do with: their own, then the latest changed. All are few, so they
-- are sorted.
SELECT s.at::text, s.id::text, s.id::text
FROM (SELECT CASE WHEN p.user_id = %(user)s::uuid THEN 'infinity' ELSE p.updated_at END AS at, p.id
      FROM marketplace.profiles p WHERE p.user_id = ANY (%(partners)s::uuid[])) AS s
WHERE %(after_at)s::timestamptz IS NULL OR (s.at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)
ORDER BY s.at DESC, s.id DESC
LIMIT %(limit)s::bigint
