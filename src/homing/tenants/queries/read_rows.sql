-- Rows of the given synced tables, as PostgreSQL's statistics have them: asked while pushing, so it must cost nothing.
SELECT coalesce(sum(greatest(s.n_live_tup, c.reltuples, 0)), 0)::bigint
FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.oid = ANY (SELECT to_regclass(t) FROM unnest(%(tables)s::text[]) AS u(t))
