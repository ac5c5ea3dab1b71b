-- Names of users by id.
SELECT u.id::text, u.name FROM homing.users u WHERE u.id::text = ANY (%(ids)s)
