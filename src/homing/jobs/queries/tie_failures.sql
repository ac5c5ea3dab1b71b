-- Failures go with their job.
ALTER TABLE homing.job_failures ADD FOREIGN KEY (job_id) REFERENCES procrastinate.procrastinate_jobs ON DELETE CASCADE
