-- Indexes that no query used and that keep nothing unique, the largest first.
SELECT i.indexrelid::regclass::text AS name, pg_relation_size(i.indexrelid) AS bytes
FROM pg_stat_all_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
WHERE s.schemaname = ANY (%(schemas)s::text[]) AND s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisexclusion
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
ORDER BY bytes DESC, name
LIMIT %(limit)s
