DROP INDEX homing.users_mobile;
