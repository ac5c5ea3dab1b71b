-- A device as answers show it, with its user.
SELECT d.id, d.device_id, d.user_id, u.name AS user_name, d.device_type, d.os_version, d.app_version,
       d.push_token IS NOT NULL AS has_push_token, d.status::text AS status, d.status_reason,
       d.trust_score, d.trust_reasons, d.metadata, d.fingerprint_at,
       extract(epoch FROM d.clock_offset)::float8 AS clock_offset_seconds,
       d.last_seen, d.created_at, d.updated_at
FROM homing.mobile_devices d
LEFT JOIN homing.users u ON u.id = d.user_id
