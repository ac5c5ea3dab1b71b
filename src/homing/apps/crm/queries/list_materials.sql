-- The spec's checklist of a job, as places: what is to be bought first, in the order in which it was written down.
SELECT m.purchased, m.created_at::text, m.id
FROM crm.materials m
WHERE m.job_id = %(job)s::uuid AND m.is_deleted = false
  AND (m.purchased, m.created_at, m.id) > (%(after_purchased)s::boolean, %(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.purchased, m.created_at, m.id
LIMIT %(limit)s
