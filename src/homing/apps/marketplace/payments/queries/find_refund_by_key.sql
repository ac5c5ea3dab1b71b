-- The refund that somebody's key was used for.
SELECT r.id, r.payment_id, r.amount_cents, r.reason
FROM marketplace.refunds r
WHERE r.requested_by = %(user)s AND r.idempotency_key = %(key)s
