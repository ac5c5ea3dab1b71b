-- An import's customers, all in one statement: stamps, history and the trail see them as one set.
INSERT INTO crm.customers (name, phone, email, address, notes)
SELECT g.name, g.phone, g.email, g.address, g.notes
FROM unnest(%(names)s::text[], %(phones)s::text[], %(emails)s::text[], %(addresses)s::text[], %(notes)s::text[])
     AS g (name, phone, email, address, notes)
