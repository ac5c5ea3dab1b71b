-- Remove a job that is not running; whether there was one.
SELECT homing.discard_job(%(id)s)
