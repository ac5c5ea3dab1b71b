-- A page of devices, the newest first.
SELECT d.id, d.device_id, d.user_id, u.name AS user_name, d.device_type, d.os_version, d.app_version,
       d.push_token IS NOT NULL AS has_push_token, d.status::text AS status, d.status_reason,
       d.trust_score, d.trust_reasons, d.metadata, d.fingerprint_at,
       extract(epoch FROM d.clock_offset)::float8 AS clock_offset_seconds,
       d.last_seen, d.created_at, d.updated_at
FROM homing.mobile_devices d
LEFT JOIN homing.users u ON u.id = d.user_id
WHERE (%(after_at)s::timestamptz IS NULL OR (d.created_at, d.id) < (%(after_at)s, %(after_id)s::uuid))
  AND (%(status)s::homing.device_status IS NULL OR d.status = %(status)s::homing.device_status)
  AND (%(user)s::uuid IS NULL OR d.user_id = %(user)s)
  AND (%(app_version)s::text IS NULL OR starts_with(d.app_version, %(app_version)s))
  AND (%(trust_below)s::float8 IS NULL OR d.trust_score < %(trust_below)s)
  AND (%(unseen_since)s::timestamptz IS NULL OR d.last_seen IS NULL OR d.last_seen < %(unseen_since)s)
  AND (%(q)s::text IS NULL OR position(lower(%(q)s) IN lower(
        concat_ws(' ', d.device_id, d.device_type, d.os_version, d.app_version, u.username, u.name))) > 0)
ORDER BY d.created_at DESC, d.id DESC
LIMIT %(limit)s
