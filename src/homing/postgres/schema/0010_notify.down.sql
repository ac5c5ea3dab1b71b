DROP TABLE homing.live_sessions;
DROP TABLE homing.push_deliveries;
DROP TABLE homing.push_notifications;
DROP TABLE homing.notification_preferences;
DROP INDEX homing.mobile_devices_push_token;
DROP TABLE homing.push_tokens;
DROP FUNCTION homing.mirror_push_tokens();
UPDATE homing.users SET device_tokens = '[]' WHERE device_tokens <> '[]';
