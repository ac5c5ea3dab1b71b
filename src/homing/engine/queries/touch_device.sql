-- A device was here: at most once a minute while it only pulls.
UPDATE homing.mobile_devices SET last_seen = %(now)s WHERE id = %(device)s
