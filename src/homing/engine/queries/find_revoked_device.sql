-- A device that was revoked, whoever's it was: when its user is deleted, it still has to learn that it is to be wiped.
SELECT d.id, d.status::text FROM homing.mobile_devices d WHERE d.device_id = %(device)s AND d.status = 'revoked'
