DROP TRIGGER keep_quota_new ON homing.users;
DROP TRIGGER keep_quota_again ON homing.users;
DROP TRIGGER keep_quota_new ON homing.mobile_devices;
DROP TRIGGER keep_quota_again ON homing.mobile_devices;
DROP TRIGGER keep_quota_new ON homing.media;
DROP TRIGGER keep_quota_more ON homing.media;
DROP FUNCTION homing.keep_quota();
DROP FUNCTION homing.used_of_quota(text);
DROP TABLE homing.quotas;
