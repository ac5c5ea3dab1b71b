-- What a client and a freelancer agreed on: a proposal by its id, or the accepted one of a job. Only for the two of them.
SELECT p.id, p.client_id, p.freelancer_id, p.amount_cents, p.currency, p.status::text
FROM marketplace.proposals p
WHERE %(user)s::uuid IN (p.client_id, p.freelancer_id)
  AND CASE WHEN %(proposal)s::uuid IS NULL THEN p.job_id = %(job)s::uuid AND p.status = 'accepted'
           ELSE p.id = %(proposal)s::uuid AND p.job_id = coalesce(%(job)s::uuid, p.job_id) END
