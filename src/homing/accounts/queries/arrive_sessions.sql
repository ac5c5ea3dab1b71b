-- Sessions that have a live connection to a node now.
INSERT INTO homing.live_sessions (node, session_id)
SELECT %(node)s, s.id FROM homing.sessions s WHERE s.id = ANY(%(sessions)s) ORDER BY s.id
ON CONFLICT (session_id, node) DO NOTHING
