-- Whether a device is revoked; unknown devices are not.
SELECT 1 FROM homing.mobile_devices WHERE device_id = %(device)s AND status = 'revoked'
