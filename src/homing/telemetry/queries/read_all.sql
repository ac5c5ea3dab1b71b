-- Every device's metrics, newest first, along the index on time.
-- What was measured since a time also arrived since then, which skips older partitions.
SELECT page.number, d.device_id, page.name, page.value::text, page.meta::text, page.at, page.created_at
FROM (SELECT m.number, m.device_id, m.name, m.value, m.meta, m.at, m.created_at
      FROM homing.telemetry_metrics m
      WHERE m.created_at >= %(since)s::timestamptz
        AND m.at >= %(since)s::timestamptz AND m.at < %(until)s::timestamptz
        AND (m.at, m.number) < (%(after_at)s::timestamptz, %(after_number)s::bigint)
      ORDER BY m.at DESC, m.number DESC
      LIMIT %(limit)s) page
JOIN homing.mobile_devices d ON d.id = page.device_id
ORDER BY page.at DESC, page.number DESC
