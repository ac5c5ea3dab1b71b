-- One payment, for the two people it is between, or (without a user) for whoever may see all.
-- include _payment_shown
WHERE p.id = %(payment)s AND (%(user)s::uuid IS NULL OR %(user)s::uuid IN (p.client_id, p.freelancer_id))
