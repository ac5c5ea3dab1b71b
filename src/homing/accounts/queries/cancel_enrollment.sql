-- Cancel a token that nobody has used. Against a device that completes at this moment the row's lock decides.
UPDATE homing.enrollment_tokens
SET cancelled_at = now(), cancelled_by = %(by)s, secret_hash = NULL
WHERE id = %(id)s AND used_at IS NULL AND cancelled_at IS NULL AND expires_at > clock_timestamp()
