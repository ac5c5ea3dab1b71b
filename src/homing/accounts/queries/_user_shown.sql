-- A user as answers show it.
SELECT u.id, u.username, u.email, u.name, u.role, u.user_type, u.is_active, u.online_status, u.device_id,
       u.enrolled_at, u.password_hash IS NOT NULL AS has_password,
       u.last_login_at, u.last_seen, u.created_at, u.updated_at
FROM homing.users u
