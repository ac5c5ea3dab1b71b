-- Whether a token was used, and by which device.
SELECT et.used_at, et.device_id FROM homing.enrollment_tokens et WHERE et.id = %(id)s
