-- One refund.
SELECT r.id, r.payment_id, r.amount_cents AS amount, r.status, r.reason, r.gateway_id, r.error, r.requested_by,
       r.created_at, r.settled_at
FROM marketplace.refunds r
WHERE r.id = %(refund)s
