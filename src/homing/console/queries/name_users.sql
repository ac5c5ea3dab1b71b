-- Names of users by id.
SELECT u.id::text, u.name FROM homing.users u WHERE u.id = ANY (%(ids)s::text[]::uuid[])
