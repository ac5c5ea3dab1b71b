-- What somebody's apps keep of their tastes.
SELECT mobile_preferences FROM homing.users WHERE id = %(user)s
