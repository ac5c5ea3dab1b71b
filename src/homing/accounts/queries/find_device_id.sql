-- A device's row id by its own name.
SELECT id FROM homing.mobile_devices WHERE device_id = %(device)s::text
