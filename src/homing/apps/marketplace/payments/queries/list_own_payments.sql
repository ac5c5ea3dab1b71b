-- What somebody pays and is paid, the newest first. Two lists in one: an OR over both sides would read all payments.
WITH places AS (
    (SELECT p.id, p.created_at FROM marketplace.payments p
     WHERE p.client_id = %(user)s
       AND (p.created_at, p.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY p.created_at DESC, p.id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT p.id, p.created_at FROM marketplace.payments p
     WHERE p.freelancer_id = %(user)s
       AND (p.created_at, p.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
     ORDER BY p.created_at DESC, p.id DESC LIMIT %(limit)s)
)
SELECT p.id, p.proposal_id, a.job_id, p.client_id, p.freelancer_id, p.amount_cents AS amount,
       p.refunded_cents AS refunded, p.currency, p.status,
       p.gateway, p.gateway_id, p.error, p.created_at, p.settled_at
FROM places l JOIN marketplace.payments p ON p.id = l.id JOIN marketplace.proposals a ON a.id = p.proposal_id
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
