-- How many tokens of a creator wait to be used.
SELECT count(*) FROM homing.enrollment_tokens et
WHERE et.created_by = %(created_by)s AND et.used_at IS NULL AND et.cancelled_at IS NULL AND et.expires_at > now()
