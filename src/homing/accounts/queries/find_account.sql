-- The account somebody signs in to: by e-mail or username, in any case. The e-mail wins where both fit.
SELECT id, role, password_hash, is_active
FROM homing.users
WHERE lower(email) = lower(%(login)s::text) OR lower(username) = lower(%(login)s::text)
ORDER BY (lower(email) = lower(%(login)s::text)) IS TRUE DESC
LIMIT 1
