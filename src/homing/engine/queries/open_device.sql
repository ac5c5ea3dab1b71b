-- Begin a device's push: confirm who is calling, lock the device's row (one push of a device at a time), say who acts. When
-- the device was seen is written once a minute, and its clock's offset when it moved: each time, all indexes of the devices
-- get an entry more.
WITH held AS MATERIALIZED (
    SELECT d.id, d.trust_score, d.last_seen, d.clock_offset, coalesce(%(offset)s::interval, d.clock_offset) AS measured
    FROM homing.mobile_devices d
    WHERE d.device_id = %(device)s::text AND d.user_id IS NOT DISTINCT FROM %(user)s AND d.status::text = 'active' AND
-- include _holds
    FOR NO KEY UPDATE
), seen AS (
    UPDATE homing.mobile_devices d SET last_seen = %(now)s, clock_offset = h.measured
    FROM held h
    WHERE d.id = h.id AND (
        h.last_seen BETWEEN %(now)s::timestamptz - interval '1 minute' AND %(now)s::timestamptz + interval '1 minute'
        AND (h.measured IS NULL
             OR h.measured BETWEEN h.clock_offset - interval '1 second' AND h.clock_offset + interval '1 second')
    ) IS NOT TRUE
)
SELECT id, trust_score, extract(epoch FROM measured)::float8,
       set_config('homing.actor', %(user)s::uuid::text, true), set_config('homing.device', id::text, true),
       set_config('homing.batch', %(batch)s::text, true)
FROM held
