DROP FUNCTION homing.discard_job(bigint);
DROP FUNCTION homing.retry_job(bigint);
DROP FUNCTION homing.defer_periodic(text[], double precision[], timestamptz);
DROP FUNCTION homing.defer_job(text, jsonb, text, timestamptz);
DROP SCHEMA procrastinate CASCADE;
DROP TABLE homing.periodic_jobs;
DROP TABLE homing.job_effects;
DROP TABLE homing.job_failures;
DROP TABLE homing.jobs_schema;
