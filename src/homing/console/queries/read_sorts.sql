-- A table as its list needs to know it: how many rows about, and by which columns an index gives them in order.
SELECT greatest(c.reltuples, 0)::bigint
       + (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
          WHERE i.inhparent = c.oid) AS rows,
       coalesce((SELECT array_agg(DISTINCT a.attname::text) FROM pg_index x
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
        JOIN pg_class ic ON ic.oid = x.indexrelid JOIN pg_am am ON am.oid = ic.relam
        WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL AND am.amname = 'btree'), '{}') AS indexed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
