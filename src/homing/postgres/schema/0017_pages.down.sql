DROP INDEX homing.history_deletes;
DROP INDEX homing.history_actor;
