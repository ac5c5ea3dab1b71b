-- Effects go with their job; and a worker that wakes up after its job is over cannot begin the effect again.
ALTER TABLE homing.job_effects ADD FOREIGN KEY (job_id) REFERENCES procrastinate.procrastinate_jobs ON DELETE CASCADE
