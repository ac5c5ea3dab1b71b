-- A new signing key.
INSERT INTO homing.keys (purpose, secret) VALUES (%(purpose)s, %(secret)s)
