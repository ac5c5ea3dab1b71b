-- Whether the user may act, in this role and session. Each is looked up by its key alone, and only then looked at: by a plan
-- that was made when there were few, all users or sessions would be read.
(SELECT u.is_active AND u.role = %(role)s FROM homing.users u WHERE u.id = %(user)s)
AND (SELECT s.user_id = %(user)s AND s.revoked_at IS NULL AND s.expires_at > now() FROM homing.sessions s
     WHERE s.id = %(session)s)
