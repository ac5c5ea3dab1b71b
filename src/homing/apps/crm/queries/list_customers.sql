-- Customers as places (when changed, id), the latest changed first. A line that ends in "when" stays only where that filter
-- is asked for (homing/postgres/lines.py). search_customers.sql is the same with words.
SELECT c.updated_at::text, c.id
FROM crm.customers c
WHERE true
  AND c.is_archived = false  -- when active
  AND c.is_archived = true  -- when archived
  AND (c.updated_at, c.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY c.updated_at DESC, c.id DESC
LIMIT %(limit)s
