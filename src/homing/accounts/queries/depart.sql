-- Users who are not connected to a node any more; offline are those whom no other node has.
WITH gone AS (
    DELETE FROM homing.live_users l WHERE l.node = %(node)s AND l.user_id = ANY(%(users)s) RETURNING l.user_id
), locked AS (
    SELECT p.user_id FROM homing.presence p
    WHERE p.online AND p.user_id = ANY(%(users)s)
      AND NOT EXISTS (SELECT FROM homing.live_users l WHERE l.user_id = p.user_id AND l.node <> %(node)s)
    ORDER BY p.user_id FOR UPDATE
), went AS (
    UPDATE homing.presence p SET online = false, last_seen = now(), changed = pg_current_xact_id()
    FROM locked WHERE p.user_id = locked.user_id RETURNING p.user_id
)
UPDATE homing.users u SET online_status = false, last_seen = now() FROM went WHERE u.id = went.user_id
