-- A sign-in happened; a hash of an older kind is replaced now that the password is known.
WITH active AS (
    UPDATE homing.mobile_sessions SET last_active = %(now)s WHERE device_id = %(device)s::text AND user_id = %(id)s
)
UPDATE homing.users
SET last_login_at = %(now)s, last_platform = %(platform)s, password_hash = coalesce(%(password_hash)s, password_hash)
WHERE id = %(id)s
