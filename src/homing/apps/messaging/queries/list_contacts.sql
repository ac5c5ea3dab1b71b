-- The people somebody may see, by username: a web user all of them, everybody else web users and whom they wrote with.
-- Whether somebody is there right now is asked of the user, who changes too often to be synced.
SELECT c.id, c.username, c.name, c.user_type, c.is_active, u.online_status, u.last_seen
FROM messaging.contacts c
JOIN homing.users u ON u.id = c.id
WHERE lower(u.username) > %(after)s
  AND (c.user_type = 'web' OR (SELECT o.user_type FROM homing.users o WHERE o.id = %(user)s) = 'web' OR c.id = %(user)s
       OR EXISTS (SELECT FROM messaging.conversations p WHERE p.user_id = %(user)s AND p.partner_id = c.id))
  AND c.user_type = %(user_type)s  -- when user_type
  AND c.id = %(person)s  -- when person
ORDER BY lower(u.username)
LIMIT %(limit)s
