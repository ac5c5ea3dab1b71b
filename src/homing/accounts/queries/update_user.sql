-- Change what was given, keep the rest.
UPDATE homing.users
SET name = coalesce(%(name)s, name),
    role = coalesce(%(role)s, role),
    is_active = coalesce(%(is_active)s, is_active),
    password_hash = coalesce(%(password_hash)s, password_hash)
WHERE id = %(id)s
