-- Everything the catalogue knows of one table's columns; one row a column, in order.
SELECT a.attname AS name,
       t.typname AS type_name,
       (SELECT s.nspname FROM pg_namespace s WHERE s.oid = t.typnamespace) AS type_schema,
       a.atttypmod AS typmod,
       format_type(a.atttypid, NULL) AS sql_type,
       NOT a.attnotnull AS nullable,
       pg_get_expr(d.adbin, d.adrelid) AS default_expression,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       a.attidentity <> '' AS identity,
       pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname) AS sequence,
       e.typname AS element,
       (SELECT array_agg(l.enumlabel::text ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid) AS labels
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
ORDER BY a.attnum
