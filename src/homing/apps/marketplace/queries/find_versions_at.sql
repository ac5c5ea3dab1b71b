-- The version that a row had at a time: the last before it, else the one before the first after it. A row that never
-- changed has none in the history, and needs none.
SELECT a.key, greatest(coalesce(
    (SELECT max(h.version) FROM homing.history h
     WHERE h.table_id = a.table AND h.row_id = a.row AND h.action = 'update' AND h.at <= a.at),
    (SELECT min(h.version) - 1 FROM homing.history h
     WHERE h.table_id = a.table AND h.row_id = a.row AND h.action = 'update' AND h.at > a.at)), 1)
FROM json_to_recordset(%(asked)s::text::json) AS a(key text, "table" int, "row" text, at timestamptz)
WHERE EXISTS (SELECT FROM homing.history h WHERE h.table_id = a.table AND h.row_id = a.row AND h.action = 'update')
