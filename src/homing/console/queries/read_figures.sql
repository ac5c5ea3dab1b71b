-- The overview's figures in one statement. Every count stops at a bound, along an index: a page does not take longer
-- because the fleet is large. What is said of versions and lag is said of the devices that were seen last.
WITH seen AS MATERIALIZED (
    SELECT d.id, d.app_version, d.device_type, d.last_seen FROM homing.mobile_devices d
    WHERE d.status = 'active' AND d.last_seen IS NOT NULL ORDER BY d.last_seen DESC LIMIT 2000
), lag AS (
    SELECT extract(epoch FROM greatest(s.last_seen - c.acked_at, interval '0'))::float8 AS seconds
    FROM seen s JOIN homing.cursors c ON c.device_id = s.id
)
SELECT (SELECT coalesce(json_object_agg(n.status, n.n), '{}') FROM
           (SELECT d.status, count(*) AS n FROM homing.mobile_devices d GROUP BY d.status) n)::text AS devices,
       (SELECT count(*) FROM (SELECT FROM homing.mobile_devices d
           WHERE d.status = 'active' AND d.last_seen > %(now)s::timestamptz - interval '1 day' LIMIT 100000) x) AS seen_today,
       (SELECT count(*) FROM seen) AS seen_last,
       (SELECT coalesce(json_agg(json_build_array(v.app_version, v.n) ORDER BY v.n DESC), '[]') FROM
           (SELECT s.app_version, count(*) AS n FROM seen s GROUP BY s.app_version ORDER BY n DESC LIMIT 6) v)::text AS versions,
       (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lag.seconds) FROM lag) AS lag_middle,
       (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY lag.seconds) FROM lag) AS lag_most,
       (SELECT count(*) FROM (SELECT FROM homing.conflicts c WHERE c.resolution = 'pending' LIMIT 1001) x) AS conflicts,
       (SELECT min(c.created_at) FROM homing.conflicts c WHERE c.resolution = 'pending') AS oldest_conflict,
       (SELECT count(*) FROM (SELECT FROM homing.sync_items i
           WHERE i.quarantined_at IS NOT NULL AND i.discarded_at IS NULL LIMIT 1001) x) AS quarantined,
       (SELECT count(*) FROM (SELECT FROM homing.sync_batches b
           WHERE b.held_reason IS NOT NULL AND b.status = 'received' LIMIT 1001) x) AS held,
       (SELECT count(*) FROM homing.live_users) AS connected,
       pg_database_size(current_database()) AS bytes
