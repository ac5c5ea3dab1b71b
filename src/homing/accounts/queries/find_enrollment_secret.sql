-- The hash to compare a secret with.
SELECT et.secret_hash FROM homing.enrollment_tokens et WHERE et.token = %(token)s
