-- How many notifications somebody has not read.
SELECT count(*) FROM homing.push_notifications n WHERE n.user_id = %(user)s AND n.read_at IS NULL
