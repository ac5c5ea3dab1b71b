-- Which of these names, in lower case, somebody has.
SELECT u.username FROM homing.users u WHERE lower(u.username) = ANY (%(names)s::text[])
