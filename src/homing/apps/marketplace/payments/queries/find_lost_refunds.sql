-- Refunds of a payment that were written down long ago and of which the gateway gave no answer.
SELECT r.id, r.amount_cents FROM marketplace.refunds r
WHERE r.payment_id = %(payment)s AND r.status = 'requested' AND r.created_at < %(before)s
