-- Of items sent again: is the payload the one the verdict was given for? Compared as JSON, not as text.
SELECT w.n, i.payload = w.payload::jsonb
FROM json_to_recordset(%(items)s::text::json) AS w(n int, id uuid, payload json) JOIN homing.sync_items i ON i.id = w.id
