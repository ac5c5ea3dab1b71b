-- A node that stops: its users are offline unless another node has them.
WITH node AS (
    DELETE FROM homing.live_nodes n WHERE n.node = %(node)s RETURNING n.node
), went AS (
    UPDATE homing.presence p SET online = false, last_seen = now(), changed = pg_current_xact_id()
    FROM homing.live_users l
    WHERE l.node = %(node)s AND p.user_id = l.user_id AND p.online
      AND NOT EXISTS (SELECT FROM homing.live_users o WHERE o.user_id = p.user_id AND o.node <> %(node)s)
    RETURNING p.user_id
)
UPDATE homing.users u SET online_status = false, last_seen = now() FROM went WHERE u.id = went.user_id
