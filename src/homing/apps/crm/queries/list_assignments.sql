-- Who is assigned to a job, in the order of assigning.
SELECT a.id, a.job_id, a.user_id, u.name, a.assigned_at
FROM crm.job_assignments a JOIN homing.users u ON u.id = a.user_id
WHERE a.job_id = %(job)s::uuid
ORDER BY a.assigned_at, a.id
