-- The payment of a gateway's intent.
SELECT p.id FROM marketplace.payments p WHERE p.gateway = %(gateway)s AND p.gateway_id = %(gateway_id)s
