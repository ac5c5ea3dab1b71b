-- The largest tables, with rows that are seen and rows that are dead.
SELECT c.oid::regclass::text AS name, pg_total_relation_size(c.oid) AS bytes,
       coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE n.nspname = ANY (%(schemas)s::text[]) AND c.relkind = 'r'
ORDER BY bytes DESC, name
LIMIT %(limit)s
