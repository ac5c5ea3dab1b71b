-- Places of what a phone is told to keep: a handful.
SELECT c.updated_at::text, c.entity::text, c.entity::text
FROM marketplace.offline_cache_metadata c
WHERE %(after_at)s::timestamptz IS NULL
   OR (c.updated_at, c.entity::text) < (%(after_at)s::timestamptz, %(after_id)s::text)
ORDER BY c.updated_at DESC, c.entity::text DESC
LIMIT %(limit)s::bigint
