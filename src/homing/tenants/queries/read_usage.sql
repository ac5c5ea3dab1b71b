-- How much of each quota a tenant uses. Rows of the given synced tables are those of PostgreSQL's statistics: counting
-- them would read them all.
SELECT homing.used_of_quota('users')::bigint AS users, homing.used_of_quota('devices')::bigint AS devices,
    (SELECT coalesce(sum(greatest(s.n_live_tup, c.reltuples, 0)), 0)::bigint FROM pg_class c
     JOIN pg_stat_all_tables s ON s.relid = c.oid
     WHERE c.oid = ANY (SELECT to_regclass(t) FROM unnest(%(tables)s::text[]) AS u(t))) AS rows,
    homing.used_of_quota('media_bytes')::bigint AS media_bytes
