-- A sign-in happened; a hash of an older kind is replaced now that the password is known. It is an event, too, with the
-- shape that spec 4 gives it: there if and only if the sign-in is.
WITH active AS (
    UPDATE homing.mobile_sessions SET last_active = %(now)s WHERE device_id = %(device)s::text AND user_id = %(id)s
), noted AS (
    UPDATE homing.users
    SET last_login_at = %(now)s, last_platform = %(platform)s,
        password_hash = coalesce(%(password_hash)s, password_hash)
    WHERE id = %(id)s
    RETURNING id, last_platform
), device AS (
    SELECT d.device_type, nullif(d.app_version, '') AS app_version FROM homing.mobile_devices d
    WHERE d.device_id = %(device)s::text
)
SELECT homing.note_event(n.id, 'user_login', jsonb_strip_nulls(jsonb_build_object(
        'platform', CASE n.last_platform WHEN 'web' THEN 'web' ELSE 'mobile' END,
        'device_type', CASE WHEN (SELECT d.device_type FROM device d) ~* 'tablet|ipad' THEN 'tablet'
                            WHEN n.last_platform = 'web' THEN 'desktop' ELSE 'mobile' END,
        'app_version', (SELECT d.app_version FROM device d))),
    n.last_platform, %(device)s::text, %(now)s)
FROM noted n
