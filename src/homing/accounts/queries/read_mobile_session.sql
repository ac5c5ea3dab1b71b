-- How a device is used: by whom, with which app, since when.
SELECT device_id, platform, app_version, last_active, created_at FROM homing.mobile_sessions WHERE device_id = %(device)s
