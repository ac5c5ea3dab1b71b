-- How far the queue's tables are; no row where there are none.
SELECT version FROM homing.jobs_schema
