-- How far the queue's tables are now.
INSERT INTO homing.jobs_schema (version) VALUES (%(version)s::text)
ON CONFLICT (one) DO UPDATE SET version = excluded.version
