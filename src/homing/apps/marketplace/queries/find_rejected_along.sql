-- Proposals for these jobs that this transaction rejected: now() is the same in all of it, also in its triggers. IS TRUE,
-- because of all that were ever rejected an index knows too.
SELECT p.id FROM marketplace.proposals p
WHERE p.job_id = ANY (%(jobs)s::uuid[]) AND (p.status = 'rejected') IS TRUE AND p.decided_at = now()
