-- The payment that an event is about: by the id we gave the gateway, which is there before its answer was written down.
SELECT p.proposal_id, p.amount_cents, p.currency, p.gateway_id
FROM marketplace.payments p
WHERE p.id = %(payment)s AND p.gateway = %(gateway)s
