-- An enrolment token as answers show it, with who made it, who used it, and its state "s".
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
