-- Whose secret this is, for a code typed by hand. Equal hashes of 128 random bits mean the same secret.
SELECT et.token FROM homing.enrollment_tokens et WHERE et.secret_hash = %(secret_hash)s
