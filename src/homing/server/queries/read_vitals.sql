-- Connections, size, standbys, the archive, and since when statistics are kept. Seconds, bytes and days.
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int AS connections_max,
       pg_database_size(current_database()) AS bytes,
       (SELECT extract(epoch FROM max(coalesce(replay_lag, '0')))::float8 FROM pg_stat_replication) AS replication_lag,
       CASE WHEN current_setting('archive_mode') = 'off' THEN NULL
            ELSE coalesce(a.last_failed_time < a.last_archived_time, a.last_failed_time IS NULL) END AS archiving,
       extract(epoch FROM clock_timestamp() - a.last_archived_time)::float8 AS archived_ago,
       coalesce(extract(epoch FROM clock_timestamp() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8, 0)
           / 86400 AS statistics_days,
       (SELECT e.extnamespace::regnamespace::text FROM pg_extension e
        WHERE e.extname = 'pg_stat_statements'
          AND current_setting('shared_preload_libraries') LIKE '%%pg_stat_statements%%') AS statements_schema
FROM pg_stat_archiver a, pg_stat_database d
WHERE d.datname = current_database()
