-- One user as answers show it.
-- include _user_shown
WHERE u.id = %(id)s
