-- The largest tables with their indexes, and what the statistics say of them. Partitions count for their parent.
SELECT coalesce(parent.oid, c.oid)::regclass::text AS name,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       sum(coalesce(s.n_live_tup, 0))::bigint AS live,
       sum(coalesce(s.n_dead_tup, 0))::bigint AS dead,
       sum(coalesce(s.seq_tup_read, 0))::bigint AS read_in_turn,
       sum(coalesce(s.idx_scan, 0))::bigint AS index_scans,
       sum(coalesce(s.seq_scan, 0))::bigint AS whole_scans
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class parent ON parent.oid = i.inhparent
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind = 'r'
GROUP BY 1
ORDER BY bytes DESC, name
LIMIT %(limit)s
