-- Spec 3, "Complete Enrollment": exactly one of any number of devices gets a row. The others wait for its lock, look
-- again and find the token used. The moment that counts is when the row is ours, by the database's clock.
UPDATE homing.enrollment_tokens et
SET used_at = clock_timestamp(), device_id = %(device)s, redeemer_hash = %(redeemer_hash)s,
    device_type = %(device_type)s, os_version = %(os_version)s, app_version = %(app_version)s
FROM homing.users u
WHERE et.token = %(token)s
  AND et.secret_hash = %(secret_hash)s
  AND et.tenant_id = %(tenant)s
  AND et.used_at IS NULL
  AND et.cancelled_at IS NULL
  AND et.expires_at > clock_timestamp()
  AND u.id = et.created_by AND u.is_active AND u.role = 'OWNER'
RETURNING et.id, et.role, et.username, et.server_key, et.created_by
