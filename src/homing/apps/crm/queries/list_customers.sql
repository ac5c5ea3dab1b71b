-- The spec's customer search, as places (when changed, id): words of name and address, or the beginning of a phone
-- number. A line that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py). The phone is a
-- range of an index in byte order, not ILIKE: a prepared ILIKE can use no index, and % in a number means nothing.
SELECT c.updated_at::text, c.id
FROM crm.customers c
WHERE true
  AND (to_tsvector('english', c.name || ' ' || COALESCE(c.address, '')) @@ plainto_tsquery('english', %(q)s::text) OR (lower(c.phone::text) ~>=~ lower(%(q)s::text) AND lower(c.phone::text) ~<~ (lower(%(q)s::text) || chr(1114111))))  -- when q
  AND c.is_archived = false  -- when active
  AND c.is_archived = true  -- when archived
  AND (c.updated_at, c.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY c.updated_at DESC, c.id DESC
LIMIT %(limit)s
