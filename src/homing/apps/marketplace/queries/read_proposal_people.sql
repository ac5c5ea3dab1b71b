-- The two people of each of these proposals.
SELECT p.id, p.job_id, p.client_id, p.freelancer_id FROM marketplace.proposals p WHERE p.id = ANY (%(ids)s::uuid[])
