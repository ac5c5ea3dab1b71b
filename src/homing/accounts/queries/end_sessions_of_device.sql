-- End the open sessions that name a device, except one user's.
UPDATE homing.sessions SET revoked_at = %(now)s, revoked_reason = %(reason)s
WHERE device_id = %(device)s AND revoked_at IS NULL AND user_id IS DISTINCT FROM %(but_of_user)s::uuid
