-- Which of these jobs the user offers.
SELECT j.id FROM marketplace.jobs j WHERE j.id = ANY (%(ids)s) AND j.client_id = %(user)s
