-- A payment's refunds, the newest first: along refunds_listed.
SELECT r.id, r.payment_id, r.amount_cents AS amount, r.status, r.reason, r.gateway_id, r.error, r.requested_by,
       r.created_at, r.settled_at
FROM marketplace.refunds r
WHERE r.payment_id = %(payment)s
  AND (r.created_at, r.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY r.created_at DESC, r.id DESC
LIMIT %(limit)s
