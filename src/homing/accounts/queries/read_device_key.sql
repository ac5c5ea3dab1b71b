-- The public key that is pinned to a device, if any.
SELECT d.public_key FROM homing.mobile_devices d WHERE d.device_id = %(device)s::text
