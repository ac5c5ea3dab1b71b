-- Who wrote these rows last, if that was lately.
SELECT homing.actor_of(w.table_id, w.row_id)
FROM json_to_recordset(%(rows)s::text::json) AS w(n int, table_id int, row_id text)
ORDER BY w.n
