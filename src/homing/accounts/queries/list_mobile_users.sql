-- The spec's mobile users with online status: who is online first, then by username, along an index in that order, which
-- is also the cursor.
SELECT u.id, u.username, u.email, u.name, u.role, u.user_type, u.is_active, u.online_status, u.device_id,
       u.enrolled_at, u.password_hash IS NOT NULL AS has_password,
       u.last_login_at, u.last_seen, u.created_at, u.updated_at
FROM homing.users u
WHERE u.user_type = 'mobile'
  AND (CASE WHEN u.online_status THEN 0 ELSE 1 END, lower(u.username)) > (CASE WHEN %(after_online)s::boolean THEN 0 ELSE 1 END, %(after)s)
  AND (%(role)s::text IS NULL OR u.role = %(role)s)
  AND (%(q)s::text IS NULL OR position(lower(%(q)s) IN lower(u.username || ' ' || u.name)) > 0)
ORDER BY CASE WHEN u.online_status THEN 0 ELSE 1 END, lower(u.username)
LIMIT %(limit)s
