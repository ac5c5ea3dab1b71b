-- Is there anybody who could sign in?
SELECT 1 FROM homing.users LIMIT 1
