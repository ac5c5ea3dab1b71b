DROP FUNCTION homing.usage_between(timestamptz, timestamptz);
DROP FUNCTION homing.measure_event(text, jsonb);
DROP INDEX homing.analytics_events_arrived;
DROP TABLE homing.usage_added;
DROP TABLE homing.usage_days;
