-- Proposals for these jobs that this transaction rejected: now() is the same in all of it, also in its triggers.
SELECT p.id FROM marketplace.proposals p
WHERE p.job_id = ANY (%(jobs)s::uuid[]) AND p.status = 'rejected' AND p.decided_at = now()
