-- homing.defer_job asks whether a job of this key waits already.
CREATE INDEX homing_jobs_waiting ON procrastinate.procrastinate_jobs (lock) WHERE status = 'todo'
