-- Waits for the pushes of this device that are running; later ones wait for us.
SELECT device_id FROM homing.mobile_devices WHERE id = %(id)s FOR UPDATE
