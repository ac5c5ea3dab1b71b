-- A sync of a device was refused. Only a device of the caller's: nobody marks another's.
INSERT INTO homing.sync_metadata (device_id, sync_status)
SELECT d.device_id, 'error' FROM homing.mobile_devices d WHERE d.device_id = %(device)s AND d.user_id = %(user)s
ON CONFLICT (device_id) DO UPDATE SET sync_status = 'error' WHERE sync_metadata.sync_status <> 'error'
