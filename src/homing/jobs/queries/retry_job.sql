-- Try a job again at once; whether it could be.
SELECT homing.retry_job(%(id)s)
