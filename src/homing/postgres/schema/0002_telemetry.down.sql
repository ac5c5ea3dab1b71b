DROP TABLE homing.telemetry_metrics;
DROP SEQUENCE homing.telemetry_metrics_number;
DROP TABLE homing.telemetry_batches;
DROP TABLE homing.telemetry;
DROP FUNCTION homing.drop_partitions(regclass, timestamptz);
