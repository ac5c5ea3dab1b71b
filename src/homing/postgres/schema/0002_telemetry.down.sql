DROP TABLE homing.telemetry;
