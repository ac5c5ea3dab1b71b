-- Tokens that nobody used, long ago. Used ones stay: they say who let whom in.
DELETE FROM homing.enrollment_tokens WHERE expires_at < %(before)s AND used_at IS NULL
