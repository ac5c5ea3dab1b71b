-- Write down what is to be paid, before any gateway hears of it.
INSERT INTO marketplace.payments (proposal_id, client_id, freelancer_id, amount_cents, currency, gateway)
VALUES (%(proposal)s, %(client)s, %(freelancer)s, %(amount)s, %(currency)s, %(gateway)s)
RETURNING id
