-- The assignment of one person to one job.
SELECT a.id FROM crm.job_assignments a WHERE a.job_id = %(job)s::uuid AND a.user_id = %(user)s::uuid
