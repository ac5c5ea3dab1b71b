-- Remove a user, and by the foreign keys all that is the user's alone.
DELETE FROM homing.users WHERE id = %(id)s
