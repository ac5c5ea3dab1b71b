-- Why this try failed.
INSERT INTO homing.job_failures (job_id, attempt, error) VALUES (%(job)s, %(attempt)s, %(error)s)
ON CONFLICT (job_id, attempt) DO UPDATE SET at = now(), error = excluded.error
