-- Percent an hour that batteries lose while the app is in use, by version of the app: from one measurement of a device to
-- its next, where they are close enough together and the battery was not being charged.
WITH measured AS (
    SELECT m.device_id, m.at, (m.value)::numeric AS level,
        lag(m.at) OVER w AS before_at, lag((m.value)::numeric) OVER w AS before_level
    FROM homing.telemetry_metrics m
    WHERE m.name = 'battery' AND m.created_at >= %(since)s AND m.at >= %(since)s AND m.at < %(until)s
        AND jsonb_typeof(m.value) = 'number'
    WINDOW w AS (PARTITION BY m.device_id ORDER BY m.at, m.number)
), lost AS (
    SELECT m.device_id, m.before_level - m.level AS percent, extract(epoch FROM m.at - m.before_at) / 3600 AS hours
    FROM measured m
    WHERE m.level BETWEEN 0 AND 100 AND m.before_level BETWEEN m.level AND 100
        AND m.at - m.before_at BETWEEN interval '10 seconds' AND interval '2 hours'
)
SELECT nullif(d.app_version, ''), count(DISTINCT l.device_id), sum(l.percent)::float8, sum(l.hours)::float8
FROM lost l
LEFT JOIN homing.mobile_devices d ON d.id = l.device_id
GROUP BY 1
ORDER BY sum(l.hours) DESC
LIMIT %(limit)s
