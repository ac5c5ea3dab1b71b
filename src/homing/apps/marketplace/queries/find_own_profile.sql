-- Somebody's own profile.
SELECT id FROM marketplace.profiles WHERE user_id = %(user)s::uuid
