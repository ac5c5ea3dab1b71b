-- B-tree indexes that are much larger than their entries: an estimate from the statistics, which needs no extension and
-- reads no index. An entry takes its columns' average width, 8 bytes of its own and 4 of its pointer; a page is filled
-- to nine tenths. Partitions have statistics of their own.
SELECT n.nspname, c.relname, pg_relation_size(c.oid)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_class t ON t.oid = i.indrelid AND t.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(greatest(s.avg_width, 1)), 16) AS width, count(*) AS known
    FROM unnest(i.indkey::int2[]) AS k(attnum)
    JOIN pg_attribute x ON x.attrelid = t.oid AND x.attnum = k.attnum
    JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = t.relname AND s.attname = x.attname
) w
WHERE n.nspname = ANY (%(schemas)s::text[]) AND i.indisvalid AND NOT i.indisexclusion
  AND 0 <> ALL (i.indkey::int2[])
  AND w.known = i.indnatts
  AND pg_relation_size(c.oid) >= %(bytes)s
  AND greatest(c.reltuples, 0) * (w.width + 12) / 0.9 < pg_relation_size(c.oid) * (1 - %(part)s::float8)
ORDER BY pg_relation_size(c.oid) DESC, 1, 2
