-- Write down a refund, unless it is more than is left of the payment: then no row. The lock on its proposal is held.
INSERT INTO marketplace.refunds (payment_id, amount_cents, reason, requested_by, idempotency_key, gateway_id)
SELECT p.id, coalesce(%(amount)s::bigint, p.amount_cents - p.refunded_cents), %(reason)s, %(user)s, %(key)s, %(gateway_id)s
FROM marketplace.payments p
WHERE p.id = %(payment)s AND p.refunded_cents + coalesce(%(amount)s::bigint, 1) <= p.amount_cents
RETURNING id
