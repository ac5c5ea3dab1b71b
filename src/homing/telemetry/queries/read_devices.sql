-- The metrics of a few devices, newest first: a page of each along the index on device and time, then the newest of
-- these. A name only filters: a device has tens of names, and an index more would cost every batch.
-- What was measured since a time also arrived since then, which skips older partitions.
SELECT page.number, d.device_id, page.name, page.value::text, page.meta::text, page.at, page.created_at
FROM homing.mobile_devices d
CROSS JOIN LATERAL (
    SELECT m.number, m.name, m.value, m.meta, m.at, m.created_at
    FROM homing.telemetry_metrics m
    WHERE m.device_id = d.id AND (%(name)s::text IS NULL OR m.name = %(name)s)
      AND m.created_at >= %(since)s::timestamptz
      AND m.at >= %(since)s::timestamptz AND m.at < %(until)s::timestamptz
      AND (m.at, m.number) < (%(after_at)s::timestamptz, %(after_number)s::bigint)
    ORDER BY m.at DESC, m.number DESC
    LIMIT %(limit)s) page
WHERE d.id = ANY(%(devices)s::uuid[])
ORDER BY page.at DESC, page.number DESC
LIMIT %(limit)s
