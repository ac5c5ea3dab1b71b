-- A proposal's payment that is open or succeeded: there is at most one of each, and the one that succeeded counts.
SELECT p.id, p.status, p.gateway
FROM marketplace.payments p
WHERE p.proposal_id = %(proposal)s AND p.status <> 'canceled'
ORDER BY marketplace.payment_rank(p.status) DESC
LIMIT 1
