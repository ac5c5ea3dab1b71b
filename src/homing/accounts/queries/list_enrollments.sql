-- A page of everybody's tokens, the newest first; or the one of an id.
SELECT et.id, et.token, et.tenant_id, et.created_by, c.username AS created_by_username, et.role, et.username,
       s.state, et.created_at, et.expires_at, et.used_at, et.device_id, et.device_type, et.os_version, et.app_version,
       u.id AS user_id, et.cancelled_at, et.cancelled_by
FROM homing.enrollment_tokens et
JOIN homing.users c ON c.id = et.created_by
LEFT JOIN homing.users u ON u.enrollment_token_id = et.id
CROSS JOIN LATERAL (
    SELECT CASE WHEN et.used_at IS NOT NULL THEN 'used'
                WHEN et.cancelled_at IS NOT NULL THEN 'cancelled'
                WHEN et.expires_at <= now() OR NOT c.is_active OR c.role <> 'OWNER' THEN 'expired'
                ELSE 'pending' END AS state
) s
WHERE (%(id)s::uuid IS NULL OR et.id = %(id)s)
  AND (%(after_at)s::timestamptz IS NULL OR (et.created_at, et.id) < (%(after_at)s, %(after_id)s::uuid))
  AND (%(state)s::text IS NULL OR s.state = %(state)s)
ORDER BY et.created_at DESC, et.id DESC
LIMIT %(limit)s
