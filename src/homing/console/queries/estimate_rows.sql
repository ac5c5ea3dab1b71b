-- How many rows each of these tables has, about: counting a million takes longer than a page may.
SELECT n.nspname || '.' || c.relname,
       greatest(c.reltuples, 0)::bigint
       + (SELECT coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
          WHERE i.inhparent = c.oid),
       pg_total_relation_size(c.oid)
       + (SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint FROM pg_inherits i WHERE i.inhparent = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY (%(names)s)
