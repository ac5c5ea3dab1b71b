DROP INDEX homing.mobile_devices_listed;
