-- A page of users along the index on lower(username), which is also the cursor.
-- include _user_shown
WHERE lower(u.username) > %(after)s
  AND (%(role)s::text IS NULL OR u.role = %(role)s)
  AND (%(user_type)s::text IS NULL OR u.user_type = %(user_type)s)
  AND (%(q)s::text IS NULL OR position(lower(%(q)s) IN lower(u.username || ' ' || u.name)) > 0)
ORDER BY lower(u.username)
LIMIT %(limit)s
