-- The device is to start again with its next pull (engine/pull.py refuses its older tokens).
UPDATE homing.mobile_devices SET resync_at = %(now)s WHERE id = %(id)s
