-- Which of these jobs somebody saved, and which of these are by their own ids what they saved; where that is kept.
SELECT job_id, id FROM marketplace.saved_jobs
WHERE user_id = %(user)s::uuid AND (job_id = ANY (%(ids)s::uuid[]) OR id = ANY (%(ids)s::uuid[]))
