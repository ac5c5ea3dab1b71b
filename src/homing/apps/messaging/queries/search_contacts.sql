-- The people somebody may see who have this text in their names, by username; see list_contacts.sql. A frequent text is
-- found among the next usernames, so they are walked through first; where no page is among so many, all names are read
-- once, instead of each person with their user.
WITH near AS MATERIALIZED (
    SELECT w.id FROM (SELECT u.id, lower(u.username) AS place FROM homing.users u WHERE lower(u.username) > %(after)s
                      ORDER BY lower(u.username) LIMIT 500 + 10 * %(limit)s::int) w
    JOIN messaging.contacts c ON c.id = w.id
    WHERE (c.user_type = 'web' OR (SELECT o.user_type FROM homing.users o WHERE o.id = %(user)s) = 'web' OR c.id = %(user)s
           OR EXISTS (SELECT FROM messaging.conversations p WHERE p.user_id = %(user)s AND p.partner_id = c.id))
      AND position(lower(%(q)s) IN lower(c.username || ' ' || c.name)) > 0
      AND c.user_type = %(user_type)s  -- when user_type
    ORDER BY w.place LIMIT %(limit)s::int
), enough AS MATERIALIZED (
    SELECT count(*) >= %(limit)s::int AS said FROM near
), far AS MATERIALIZED (
    SELECT c.id FROM messaging.contacts c
    WHERE NOT (SELECT e.said FROM enough e)
      AND (c.user_type = 'web' OR (SELECT o.user_type FROM homing.users o WHERE o.id = %(user)s) = 'web' OR c.id = %(user)s
           OR c.id IN (SELECT p.partner_id FROM messaging.conversations p WHERE p.user_id = %(user)s))
      AND position(lower(%(q)s) IN lower(c.username || ' ' || c.name)) > 0
      AND c.user_type = %(user_type)s  -- when user_type
)
SELECT c.id, c.username, c.name, c.user_type, c.is_active, u.online_status, u.last_seen
FROM messaging.contacts c
JOIN homing.users u ON u.id = c.id
WHERE c.id = ANY (ARRAY(  -- arrays: of a join the planner would expect thousands
    SELECT n.id FROM near n WHERE (SELECT e.said FROM enough e)
    UNION ALL
    (SELECT o.id FROM homing.users o WHERE o.id = ANY (ARRAY(SELECT f.id FROM far f)) AND lower(o.username) > %(after)s
     ORDER BY lower(o.username) LIMIT %(limit)s::int)))
ORDER BY lower(u.username)
