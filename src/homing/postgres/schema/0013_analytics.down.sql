DROP TABLE homing.request_tallies;
DROP FUNCTION homing.note_event(uuid, text, jsonb, text, text, timestamptz);
DROP TABLE homing.analytics_events;
