DROP INDEX homing.history_at;
DROP INDEX homing.sync_batches_held;
