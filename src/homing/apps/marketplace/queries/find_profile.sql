-- Somebody's own profile.
SELECT p.id FROM marketplace.profiles p WHERE p.user_id = %(user)s::uuid
