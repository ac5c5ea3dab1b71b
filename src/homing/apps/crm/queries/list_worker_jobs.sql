-- The spec's dashboard of a worker, in its order: by start (those without one last), then as they were made. From the
-- worker's assignments, as an array: a join may begin with all jobs of the company that are not completed.
SELECT coalesce(j.start_date, 'infinity')::text, j.created_at::text, j.id
FROM crm.jobs j
WHERE j.id = ANY (ARRAY(SELECT a.job_id FROM crm.job_assignments a WHERE a.user_id = %(worker)s::uuid))
  AND j.status IN ('NOT_STARTED', 'IN_PROGRESS')
  AND (coalesce(j.start_date, 'infinity'), j.created_at, j.id) > (%(after_start)s::date, %(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY coalesce(j.start_date, 'infinity'), j.created_at, j.id
LIMIT %(limit)s
