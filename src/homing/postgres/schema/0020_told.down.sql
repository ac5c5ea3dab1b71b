DROP INDEX homing.push_notifications_caused;
ALTER TABLE homing.push_notifications DROP COLUMN caused;
