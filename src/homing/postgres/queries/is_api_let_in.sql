-- Whether the API's role may write the rows of every table in these schemas: asked first, because granting writes the
-- catalog, and every start of every node would.
SELECT NOT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
      AND NOT (has_schema_privilege('homing_api', n.oid, 'USAGE') AND has_table_privilege('homing_api', c.oid, 'SELECT')))
