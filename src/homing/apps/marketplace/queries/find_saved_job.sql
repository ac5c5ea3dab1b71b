-- The row by which somebody saved a job.
SELECT s.id FROM marketplace.saved_jobs s WHERE s.user_id = %(user)s::uuid AND s.job_id = %(job)s::uuid
