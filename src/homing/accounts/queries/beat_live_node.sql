-- A node's sign of life; whether it was known and alive before. One row a node, written every few seconds.
INSERT INTO homing.live_nodes AS n (node, seen_at) VALUES (%(node)s, now())
ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at
RETURNING xmax <> 0
