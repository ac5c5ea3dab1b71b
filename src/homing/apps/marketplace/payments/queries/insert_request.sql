-- Who asked, from where; nothing where the same was asked before.
INSERT INTO marketplace.payment_requests
    (payment_id, client_id, idempotency_key, body_hash, platform, device_fingerprint, device_id)
VALUES (%(payment)s, %(client)s, %(key)s, %(body_hash)s, %(platform)s, %(fingerprint)s, %(device)s)
ON CONFLICT DO NOTHING
