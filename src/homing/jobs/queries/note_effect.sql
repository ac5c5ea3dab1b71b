-- Whether this is the first time that the job's effect is written: a second one waits for the first and finds it.
INSERT INTO homing.job_effects (job_id) VALUES (%(job)s) ON CONFLICT DO NOTHING RETURNING true
