-- Lines of an import that a customer has already, by name and address.
SELECT g.n
FROM unnest(%(names)s::text[], %(addresses)s::text[]) WITH ORDINALITY AS g (name, address, n)
WHERE EXISTS (SELECT FROM crm.customers c WHERE c.name = g.name AND c.address = g.address AND NOT c.is_archived)
ORDER BY g.n
