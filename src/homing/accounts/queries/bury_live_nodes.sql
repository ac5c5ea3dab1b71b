-- Nodes that died without a word, and whoever was connected only to them. Of several nodes that notice, one does it.
WITH dead AS (
    SELECT n.node FROM homing.live_nodes n WHERE n.seen_at < now() - make_interval(secs => %(seconds)s)
    FOR UPDATE SKIP LOCKED
), node AS (
    DELETE FROM homing.live_nodes n USING dead WHERE n.node = dead.node
), went AS (
    UPDATE homing.presence p SET online = false, last_seen = now(), changed = pg_current_xact_id()
    FROM homing.live_users l JOIN dead ON dead.node = l.node
    WHERE p.user_id = l.user_id AND p.online
      AND NOT EXISTS (SELECT FROM homing.live_users o
                      WHERE o.user_id = p.user_id AND o.node NOT IN (SELECT d.node FROM dead d))
    RETURNING p.user_id
)
UPDATE homing.users u SET online_status = false, last_seen = now() FROM went WHERE u.id = went.user_id
