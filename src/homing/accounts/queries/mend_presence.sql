-- Users whom another node took for gone while this one said that they came: neither saw the other's transaction.
WITH came AS (
    UPDATE homing.presence p SET online = true, last_seen = now(), changed = pg_current_xact_id()
    FROM homing.live_users l WHERE l.node = %(node)s AND p.user_id = l.user_id AND NOT p.online
    RETURNING p.user_id
)
UPDATE homing.users u SET online_status = true, last_seen = now() FROM came WHERE u.id = came.user_id
