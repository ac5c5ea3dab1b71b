-- Which of these jobs somebody saved, and where that is kept.
SELECT job_id, id FROM marketplace.saved_jobs WHERE user_id = %(user)s::uuid AND job_id = ANY (%(jobs)s::uuid[])
