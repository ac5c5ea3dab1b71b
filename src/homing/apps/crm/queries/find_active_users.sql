-- Those of these users who can still sign in.
SELECT u.id FROM homing.users u WHERE u.id = ANY (%(ids)s::uuid[]) AND u.is_active
