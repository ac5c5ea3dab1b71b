-- Who took a token, while it holds: only they may have a lost answer once more.
SELECT et.redeemer_hash FROM homing.enrollment_tokens et
WHERE et.token = %(token)s AND et.used_at IS NOT NULL AND et.expires_at > clock_timestamp()
