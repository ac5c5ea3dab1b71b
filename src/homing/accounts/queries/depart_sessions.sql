-- Sessions that have none any more.
DELETE FROM homing.live_sessions l WHERE l.node = %(node)s AND l.session_id = ANY(%(sessions)s)
