-- End every open session of a user.
UPDATE homing.sessions SET revoked_at = %(now)s, revoked_reason = %(reason)s
WHERE user_id = %(user)s AND revoked_at IS NULL
