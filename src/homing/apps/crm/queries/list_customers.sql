-- Customers as places (when changed, id), the latest changed first. A line that ends in "when" stays only where that filter
-- is asked for (homing/postgres/lines.py). search_customers.sql is the same with words.
SELECT c.updated_at::text, c.id
FROM crm.customers c
WHERE true
  -- include _customer_filters
ORDER BY c.updated_at DESC, c.id DESC
LIMIT %(limit)s
