-- A registration. updated_at is set here because the trigger takes a change of last_seen for mere presence; the rows of
-- sync_metadata and mobile_sessions, which every device has, are made with the device.
WITH metadata AS (
    INSERT INTO homing.sync_metadata (device_id)
    SELECT device_id FROM homing.mobile_devices WHERE id = %(id)s
    ON CONFLICT (device_id) DO NOTHING
), session AS (
    INSERT INTO homing.mobile_sessions AS s (user_id, device_id, platform, app_version, last_active, created_at)
    SELECT %(user)s, device_id,
           CASE WHEN lower(%(device_type)s::text) IN ('ios', 'iphone', 'ipad') THEN 'ios'
                ELSE left(lower(%(device_type)s::text), 20) END,
           left(%(app_version)s::text, 20), %(now)s, %(now)s
    FROM homing.mobile_devices WHERE id = %(id)s
    ON CONFLICT (device_id) DO UPDATE
    SET user_id = excluded.user_id, platform = excluded.platform, app_version = excluded.app_version,
        last_active = excluded.last_active,
        created_at = CASE WHEN s.user_id = excluded.user_id THEN s.created_at ELSE excluded.created_at END
)
UPDATE homing.mobile_devices
SET user_id = %(user)s,
    device_type = %(device_type)s,
    os_version = coalesce(%(os_version)s::text, os_version),
    app_version = %(app_version)s,
    push_token = CASE WHEN %(keep_push_token)s THEN push_token ELSE %(push_token)s::text END,
    metadata = coalesce(%(metadata)s::jsonb, metadata),
    last_seen = %(now)s,
    updated_at = %(now)s
WHERE id = %(id)s
