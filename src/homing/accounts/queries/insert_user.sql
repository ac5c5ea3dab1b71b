-- A new user. The unique indexes on lower(username) and lower(email) refuse a login that differs only in case.
INSERT INTO homing.users (username, email, name, role, password_hash)
VALUES (%(username)s, %(email)s, %(name)s, %(role)s, %(password_hash)s)
RETURNING id
