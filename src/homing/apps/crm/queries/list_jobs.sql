-- The spec's dashboard of the owner, and jobs by state, customer or worker, as places (when changed, id), the latest
-- first. Customers and workers of a page are looked up after it (describe_jobs), so the page is a walk of one index.
SELECT j.updated_at::text, j.id
FROM crm.jobs j
WHERE true
  AND j.status <> 'COMPLETED'  -- when active
  AND j.status = %(status)s  -- when status
  AND j.customer_id = %(customer)s::uuid  -- when customer
  AND j.id = ANY (ARRAY(SELECT a.job_id FROM crm.job_assignments a WHERE a.user_id = %(worker)s::uuid))  -- when worker
  AND (j.updated_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY j.updated_at DESC, j.id DESC
LIMIT %(limit)s
