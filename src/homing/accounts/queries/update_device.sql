-- A registration. updated_at is set here because the trigger takes a change of last_seen for mere presence; the row of
-- sync_metadata, which every device has, is made with the device.
WITH metadata AS (
    INSERT INTO homing.sync_metadata (device_id)
    SELECT device_id FROM homing.mobile_devices WHERE id = %(id)s
    ON CONFLICT (device_id) DO NOTHING
)
UPDATE homing.mobile_devices
SET user_id = %(user)s,
    device_type = %(device_type)s,
    os_version = %(os_version)s,
    app_version = %(app_version)s,
    push_token = CASE WHEN %(keep_push_token)s THEN push_token ELSE %(push_token)s::text END,
    metadata = coalesce(%(metadata)s::jsonb, metadata),
    last_seen = %(now)s,
    updated_at = %(now)s
WHERE id = %(id)s
