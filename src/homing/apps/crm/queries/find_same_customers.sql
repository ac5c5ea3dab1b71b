-- Lines of an import that a customer has already, by name and address; or will have, once what is queued is made: the
-- same file may be sent twice.
WITH given AS (
    SELECT g.name, g.address, g.n
    FROM unnest(%(names)s::text[], %(addresses)s::text[]) WITH ORDINALITY AS g (name, address, n)
)
SELECT g.n FROM given g
WHERE EXISTS (SELECT FROM crm.customers c WHERE c.name = g.name AND c.address = g.address AND NOT c.is_archived)
UNION
SELECT g.n FROM given g
WHERE EXISTS (SELECT FROM crm.sync_queue q
              WHERE q.status IN ('pending', 'processing') AND q.operation = 'create'
                AND q.entity_type IN ('customer', 'crm.customer')
                AND q.payload ->> 'name' = g.name AND q.payload ->> 'address' = g.address)
ORDER BY n
