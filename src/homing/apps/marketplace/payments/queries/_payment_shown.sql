-- A payment as answers show it.
SELECT p.id, p.proposal_id, a.job_id, p.client_id, p.freelancer_id, p.amount_cents AS amount,
       p.refunded_cents AS refunded, p.currency, p.status,
       p.gateway, p.gateway_id, p.error, p.created_at, p.settled_at
FROM marketplace.payments p JOIN marketplace.proposals a ON a.id = p.proposal_id
