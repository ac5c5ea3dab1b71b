-- The spec's mobile users with online status: who is online first, then by username, along an index in that order, which
-- is also the cursor.
-- include _user_shown
WHERE u.user_type = 'mobile'
  AND (CASE WHEN u.online_status THEN 0 ELSE 1 END, lower(u.username)) > (CASE WHEN %(after_online)s::boolean THEN 0 ELSE 1 END, %(after)s)
  AND (%(role)s::text IS NULL OR u.role = %(role)s)
  AND (%(q)s::text IS NULL OR position(lower(%(q)s) IN lower(u.username || ' ' || u.name)) > 0)
ORDER BY CASE WHEN u.online_status THEN 0 ELSE 1 END, lower(u.username)
LIMIT %(limit)s
