-- Give a session without a device the one that was registered in it.
UPDATE homing.sessions SET device_id = %(device)s WHERE id = %(session)s AND device_id IS NULL
