-- A page of devices, the newest first, along the index of this order: of 100,000 devices a page is read, not all. A line
-- that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py): with conditions that are
-- switched off by NULL the planner would expect few rows, and read and sort every one.
SELECT d.id, d.device_id, d.user_id, u.name AS user_name, d.device_type, d.os_version, d.app_version,
       d.push_token IS NOT NULL AS has_push_token, d.status::text AS status, d.status_reason,
       d.trust_score, d.trust_reasons, d.metadata, d.fingerprint_at,
       extract(epoch FROM d.clock_offset)::float8 AS clock_offset_seconds,
       d.last_seen, d.created_at, d.updated_at
FROM homing.mobile_devices d
LEFT JOIN homing.users u ON u.id = d.user_id
WHERE true
  AND (d.created_at, d.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
  AND d.status = %(status)s::homing.device_status  -- when status
  AND d.user_id = %(user)s::uuid  -- when user
  AND starts_with(d.app_version, %(app_version)s::text)  -- when app_version
  AND d.trust_score < %(trust_below)s::float8  -- when trust_below
  AND (d.last_seen IS NULL OR d.last_seen < %(unseen_since)s::timestamptz)  -- when unseen_since
ORDER BY d.created_at DESC, d.id DESC
LIMIT %(limit)s
