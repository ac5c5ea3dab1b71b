-- Beside each job of a page: its customer, and the names of who is assigned to it.
SELECT j.id, c.name, c.address, c.phone,
       ARRAY(SELECT u.name FROM crm.job_assignments a JOIN homing.users u ON u.id = a.user_id
             WHERE a.job_id = j.id ORDER BY a.assigned_at, a.id)
FROM crm.jobs j JOIN crm.customers c ON c.id = j.customer_id
WHERE j.id = ANY (%(ids)s::uuid[])
