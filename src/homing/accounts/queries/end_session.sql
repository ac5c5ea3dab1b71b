-- End one session. The first reason stays.
UPDATE homing.sessions SET revoked_at = %(now)s, revoked_reason = %(reason)s
WHERE id = %(session)s AND revoked_at IS NULL
