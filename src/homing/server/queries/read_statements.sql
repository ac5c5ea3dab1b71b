-- template: The statements that took most in all.
SELECT s.queryid::text AS id, left(regexp_replace(s.query, '\s+', ' ', 'g'), 120) AS text, s.calls,
       s.total_exec_time / 1000 AS seconds
FROM homing_extension.pg_stat_statements s
JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND s.queryid IS NOT NULL
ORDER BY s.total_exec_time DESC, s.queryid
LIMIT %(limit)s
