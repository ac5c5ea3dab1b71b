-- What an export says of the customers of one page, in the page's order.
SELECT c.name, c.phone, c.email, c.address, c.notes
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS listed (id, n)
JOIN crm.customers c ON c.id = listed.id
ORDER BY listed.n
