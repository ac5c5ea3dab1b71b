-- Which job each of these rows saved.
SELECT s.id, s.job_id FROM marketplace.saved_jobs s WHERE s.id = ANY (%(ids)s::uuid[])
