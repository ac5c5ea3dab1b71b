-- What a doctor asks of the PostgreSQL server in one look: version, durability, connections, the oldest open
-- transaction, standbys and slots. Times in seconds; NULL where there is nothing of the kind.
SELECT current_setting('server_version_num')::int / 10000 AS version,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('track_commit_timestamp') AS track_commit_timestamp,
       current_setting('max_connections')::int AS connections_max,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       (SELECT extract(epoch FROM max(clock_timestamp() - a.xact_start))::float8 FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
          AND a.backend_type = 'client backend') AS oldest_transaction,
       (SELECT extract(epoch FROM max(r.replay_lag))::float8 FROM pg_stat_replication r) AS replication_lag,
       (SELECT count(*) FROM pg_stat_replication) AS standbys,
       (SELECT array_agg(s.slot_name::text ORDER BY s.slot_name) FROM pg_replication_slots s WHERE NOT s.active) AS idle_slots,
       extract(epoch FROM clock_timestamp())::float8 AS clock,
       pg_database_size(current_database()) AS bytes,
       ARRAY(SELECT e.extname || ' ' || e.extversion FROM pg_extension e ORDER BY e.extname) AS extensions,
       EXISTS (SELECT FROM pg_available_extensions x WHERE x.name = 'postgis') AS postgis_there
