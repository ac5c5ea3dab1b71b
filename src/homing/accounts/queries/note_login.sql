-- A sign-in happened; a hash of an older kind is replaced now that the password is known.
UPDATE homing.users
SET last_login_at = %(now)s, last_platform = %(platform)s, password_hash = coalesce(%(password_hash)s, password_hash)
WHERE id = %(id)s
