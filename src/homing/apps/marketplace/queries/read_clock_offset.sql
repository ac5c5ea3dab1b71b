-- How far a device's clock was off when that was last measured.
SELECT clock_offset FROM homing.mobile_devices WHERE device_id = %(device)s::text
