-- A page of the devices that have this text, or whose user has it, the newest first; see list_devices.sql for "when".
-- A frequent text is found among the newest that pass the other filters, so they are walked through first. Where no page
-- is among so many, the text is rare: then all devices are read once, and all users, instead of each device's own user.
WITH near AS MATERIALIZED (
    SELECT w.id FROM (
        SELECT d.id, d.user_id, d.created_at, lower(d.device_id || ' ' || d.device_type || ' ' || d.os_version || ' ' || d.app_version) AS said
        FROM homing.mobile_devices d
        WHERE true
          -- include _device_filters
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
      -- include _device_filters
)
-- include _device_shown
WHERE d.id = ANY (ARRAY(  -- an array: of a join the planner would expect thousands
    SELECT n.id FROM near n WHERE (SELECT e.said FROM enough e)
    UNION ALL
    (SELECT f.id FROM far f ORDER BY f.created_at DESC, f.id DESC LIMIT %(limit)s::int)))
ORDER BY d.created_at DESC, d.id DESC
