-- The payment that a key was used for.
SELECT r.payment_id, r.body_hash, p.gateway
FROM marketplace.payment_requests r JOIN marketplace.payments p ON p.id = r.payment_id
WHERE r.client_id = %(client)s AND r.idempotency_key = %(key)s
