-- Proposals as places (when made, id), newest first; see list_jobs.sql for "when".
SELECT p.created_at::text, p.id
FROM marketplace.proposals p
WHERE true
  AND p.freelancer_id = %(freelancer)s::uuid  -- when freelancer
  AND p.client_id = %(client)s::uuid  -- when client
  AND p.job_id = %(job)s::uuid  -- when job
  AND p.status = %(status)s::text::marketplace.proposal_status  -- when status
  AND (p.created_at, p.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
