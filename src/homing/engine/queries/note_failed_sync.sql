-- A sync of a device was refused. Only a device of the caller's: nobody marks another's. The first refusal of a device
-- that was revoked is written even so: it is when the device learned that it is to be wiped.
INSERT INTO homing.sync_metadata (device_id, sync_status)
SELECT d.device_id, 'error' FROM homing.mobile_devices d WHERE d.device_id = %(device)s AND d.user_id = %(user)s
ON CONFLICT (device_id) DO UPDATE SET sync_status = 'error'
WHERE sync_metadata.sync_status <> 'error' OR EXISTS (
    SELECT FROM homing.mobile_devices r WHERE r.device_id = %(device)s AND r.status = 'revoked'
       AND r.updated_at > sync_metadata.updated_at)
