-- A page of the devices that have this text, or whose user has it, the newest first; see list_devices.sql for "when".
-- A frequent text is found among the newest that pass the other filters, so they are walked through first. Where no page
-- is among so many, the text is rare: then all devices are read once, and all users, instead of each device's own user.
WITH near AS MATERIALIZED (
    SELECT w.id FROM (
        SELECT d.id, d.user_id, d.created_at, lower(d.device_id || ' ' || d.device_type || ' ' || d.os_version || ' ' || d.app_version) AS said
        FROM homing.mobile_devices d
        WHERE true
          AND (d.created_at, d.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
          AND d.status = %(status)s::homing.device_status  -- when status
          AND d.user_id = %(user)s::uuid  -- when user
          AND starts_with(d.app_version, %(app_version)s::text)  -- when app_version
          AND d.trust_score < %(trust_below)s::float8  -- when trust_below
          AND (d.last_seen IS NULL OR d.last_seen < %(unseen_since)s::timestamptz)  -- when unseen_since
        ORDER BY d.created_at DESC, d.id DESC LIMIT 1000 + 10 * %(limit)s::int) w
    LEFT JOIN homing.users u ON u.id = w.user_id
    WHERE position(lower(%(q)s::text) IN w.said) > 0 OR position(lower(%(q)s::text) IN lower(u.username || ' ' || u.name)) > 0
    ORDER BY w.created_at DESC, w.id DESC LIMIT %(limit)s::int
), enough AS MATERIALIZED (
    SELECT count(*) >= %(limit)s::int AS said FROM near
), far AS MATERIALIZED (  -- by itself: in order, each would be fetched along an index
    SELECT d.id, d.created_at FROM homing.mobile_devices d
    WHERE NOT (SELECT e.said FROM enough e)
      AND (position(lower(%(q)s::text) IN lower(d.device_id || ' ' || d.device_type || ' ' || d.os_version || ' ' || d.app_version)) > 0
           OR d.user_id IN (SELECT u.id FROM homing.users u WHERE position(lower(%(q)s::text) IN lower(u.username || ' ' || u.name)) > 0))
      AND (d.created_at, d.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
      AND d.status = %(status)s::homing.device_status  -- when status
      AND d.user_id = %(user)s::uuid  -- when user
      AND starts_with(d.app_version, %(app_version)s::text)  -- when app_version
      AND d.trust_score < %(trust_below)s::float8  -- when trust_below
      AND (d.last_seen IS NULL OR d.last_seen < %(unseen_since)s::timestamptz)  -- when unseen_since
)
SELECT d.id, d.device_id, d.user_id, u.name AS user_name, d.device_type, d.os_version, d.app_version,
       d.push_token IS NOT NULL AS has_push_token, d.status::text AS status, d.status_reason,
       d.trust_score, d.trust_reasons, d.metadata, d.fingerprint_at,
       extract(epoch FROM d.clock_offset)::float8 AS clock_offset_seconds,
       d.last_seen, d.created_at, d.updated_at
FROM homing.mobile_devices d
LEFT JOIN homing.users u ON u.id = d.user_id
WHERE d.id = ANY (ARRAY(  -- an array: of a join the planner would expect thousands
    SELECT n.id FROM near n WHERE (SELECT e.said FROM enough e)
    UNION ALL
    (SELECT f.id FROM far f ORDER BY f.created_at DESC, f.id DESC LIMIT %(limit)s::int)))
ORDER BY d.created_at DESC, d.id DESC
