-- Schemas that hold the types of these schemas' columns (an extension's, somebody's enums), where the API's role may not
-- look: it could then not even read a row, because a value's functions are beside its type.
SELECT DISTINCT s.nspname
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_namespace s ON s.oid = t.typnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
  AND NOT has_schema_privilege('homing_api', s.oid, 'USAGE')
