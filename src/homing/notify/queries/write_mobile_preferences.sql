-- What somebody's apps keep of their tastes, all of it.
UPDATE homing.users SET mobile_preferences = %(wanted)s WHERE id = %(user)s
