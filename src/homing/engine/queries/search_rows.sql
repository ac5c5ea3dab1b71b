-- template: rows with a text in them, the ones that changed last first, of so many of those that a page does not wait.
SELECT f.key, left(f.label, 200) FROM (
    SELECT r.{key}::text AS key, {label} AS label FROM {table} AS r
    WHERE r.{version} >= 1 ORDER BY r.changed DESC, r.{key} DESC LIMIT %(searched)s
) AS f
WHERE position(%(text)s::text IN lower(f.key)) > 0 OR position(%(text)s::text IN lower(f.label)) > 0
LIMIT %(limit)s
