-- A page of users along the index on lower(username), which is also the cursor.
SELECT u.id, u.username, u.email, u.name, u.role, u.user_type, u.is_active, u.online_status, u.device_id,
       u.enrolled_at, u.password_hash IS NOT NULL AS has_password,
       u.last_login_at, u.last_seen, u.created_at, u.updated_at
FROM homing.users u
WHERE lower(u.username) > %(after)s
  AND (%(role)s::text IS NULL OR u.role = %(role)s)
  AND (%(user_type)s::text IS NULL OR u.user_type = %(user_type)s)
  AND (%(q)s::text IS NULL OR position(lower(%(q)s) IN lower(u.username || ' ' || u.name)) > 0)
ORDER BY lower(u.username)
LIMIT %(limit)s
