-- Which of these people can be written to: they are there, and active.
SELECT u.id FROM homing.users u WHERE u.id = ANY (%(ids)s) AND u.is_active
