-- Payments with refunds whose end is not known: of some days, the newest first.
SELECT DISTINCT ON (p.created_at, p.id) p.id
FROM marketplace.refunds r JOIN marketplace.payments p ON p.id = r.payment_id
WHERE r.status IN ('requested', 'pending') AND p.gateway = %(gateway)s
  AND r.created_at >= %(since)s AND r.created_at < %(before)s
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
