-- Sign-ins that were in use, by platform and version of the app; the most first.
SELECT s.platform, nullif(d.app_version, ''), count(*), count(DISTINCT s.user_id)
FROM homing.sessions s
LEFT JOIN homing.mobile_devices d ON d.device_id = s.device_id
WHERE s.last_used_at >= %(since)s AND s.created_at < %(until)s
GROUP BY s.platform, nullif(d.app_version, '')
ORDER BY count(*) DESC, s.platform, nullif(d.app_version, '')
LIMIT %(limit)s
