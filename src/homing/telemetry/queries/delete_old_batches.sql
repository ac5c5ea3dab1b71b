-- What arrived in a month that had no partition.
DELETE FROM homing.telemetry_default WHERE created_at < %(before)s
