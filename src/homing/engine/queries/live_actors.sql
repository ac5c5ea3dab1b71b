-- Who wrote these rows last, if that was lately: bounded in time, so that one month of the history is looked at.
SELECT (SELECT h.actor FROM homing.history h
        WHERE h.table_id = w.table_id AND h.row_id = w.row_id AND h.at > now() - interval '1 hour'
        ORDER BY h.version DESC LIMIT 1)
FROM json_to_recordset(%(rows)s::text::json) AS w(n int, table_id int, row_id text)
ORDER BY w.n
