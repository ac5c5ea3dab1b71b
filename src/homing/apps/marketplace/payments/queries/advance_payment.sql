-- Let a payment go forward, never back: no row where it is there already, or further. With the gateway's own id, where
-- that was not known yet; the reason of a failure goes when it succeeds after all.
UPDATE marketplace.payments AS p
SET status = %(status)s, gateway_id = coalesce(p.gateway_id, %(gateway_id)s),
    error = CASE WHEN %(status)s::text = 'succeeded' THEN NULL ELSE coalesce(%(error)s, p.error) END,
    settled_at = CASE WHEN %(status)s::text IN ('canceled', 'succeeded') THEN %(now)s::timestamptz END
WHERE p.id = %(payment)s AND marketplace.payment_rank(%(status)s::text) > marketplace.payment_rank(p.status)
RETURNING p.client_id, p.freelancer_id, p.amount_cents, p.currency
