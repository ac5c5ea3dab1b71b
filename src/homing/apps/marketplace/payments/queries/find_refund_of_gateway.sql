-- Our row of a refund that the gateway tells of: by the id we gave it, or by its own; none that was made at the gateway.
SELECT r.id FROM marketplace.refunds r
WHERE r.payment_id = %(payment)s AND (r.gateway_id = %(gateway_id)s OR r.id = %(refund)s)
