-- All of somebody's notifications up to one were read.
UPDATE homing.push_notifications n SET read_at = %(now)s
WHERE n.user_id = %(user)s AND n.read_at IS NULL AND n.id <= %(up_to)s
