-- Let a refund go forward, never back: no row where it is there already, or further. What was, and who is concerned.
WITH before AS (
    SELECT r.id, r.status FROM marketplace.refunds r WHERE r.id = %(refund)s FOR NO KEY UPDATE
), moved AS (
    UPDATE marketplace.refunds r
    SET status = %(status)s, gateway_id = coalesce(r.gateway_id, %(gateway_id)s), error = coalesce(%(error)s, r.error),
        settled_at = CASE WHEN %(status)s::text IN ('succeeded', 'failed') THEN %(now)s::timestamptz END
    FROM before b
    WHERE r.id = b.id AND marketplace.refund_rank(%(status)s::text) > marketplace.refund_rank(b.status)
    RETURNING r.payment_id, r.amount_cents, b.status AS before
)
SELECT m.before, m.amount_cents, p.id, p.client_id, p.freelancer_id, p.currency
FROM moved m JOIN marketplace.payments p ON p.id = m.payment_id
