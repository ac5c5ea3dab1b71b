-- The payment that a key was used for.
SELECT r.payment_id, r.body_hash
FROM marketplace.payment_requests r
WHERE r.client_id = %(client)s AND r.idempotency_key = %(key)s
