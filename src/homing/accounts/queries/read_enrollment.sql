-- Spec 3, "Get Enrollment Token Details". Also dead: a cancelled token, and one whose creator may make none any more.
SELECT et.token, et.tenant_id, et.created_by, u.username AS created_by_username, u.name AS created_by_name, et.role,
       et.username, et.expires_at, et.server_key
FROM homing.enrollment_tokens et
JOIN homing.users u ON u.id = et.created_by
WHERE et.token = %(token)s
  AND et.expires_at > now()
  AND et.used_at IS NULL
  AND et.cancelled_at IS NULL
  AND u.is_active AND u.role = 'OWNER'
