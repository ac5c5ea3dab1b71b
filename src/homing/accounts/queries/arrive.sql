-- Users who are connected to a node now. In order of id, and only rows that change, so that two nodes with the same
-- users neither wait in a circle nor write what is so already.
WITH here AS (
    INSERT INTO homing.live_users (node, user_id)
    SELECT %(node)s, u.id FROM homing.users u WHERE u.id = ANY(%(users)s) ORDER BY u.id
    ON CONFLICT (user_id, node) DO NOTHING
), came AS (
    INSERT INTO homing.presence AS p (user_id, online, last_seen, changed)
    SELECT u.id, true, now(), pg_current_xact_id() FROM homing.users u WHERE u.id = ANY(%(users)s) ORDER BY u.id
    ON CONFLICT (user_id) DO UPDATE SET online = true, last_seen = excluded.last_seen, changed = excluded.changed
    WHERE NOT p.online
    RETURNING user_id
)
UPDATE homing.users u SET online_status = true, last_seen = now() FROM came WHERE u.id = came.user_id
