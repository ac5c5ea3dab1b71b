-- The devices a caller may ask about: every one for the office, one's own for everybody else; or one of them by name.
SELECT id FROM homing.mobile_devices
WHERE (%(office)s OR user_id = %(user_id)s) AND (%(device)s::text IS NULL OR device_id = %(device)s)
LIMIT 1000
