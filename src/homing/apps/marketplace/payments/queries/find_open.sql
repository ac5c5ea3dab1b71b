-- Payments that the gateway has an intent of and has not told the end of: of some days, the newest first.
SELECT p.id, p.proposal_id, p.gateway_id
FROM marketplace.payments p
WHERE p.gateway = %(gateway)s AND p.gateway_id IS NOT NULL AND p.status NOT IN ('canceled', 'succeeded')
  AND p.created_at >= %(since)s AND p.created_at < %(before)s
ORDER BY p.created_at DESC, p.id DESC
LIMIT %(limit)s
