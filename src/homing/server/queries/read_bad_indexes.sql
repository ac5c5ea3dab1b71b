-- Indexes that a failed CREATE INDEX CONCURRENTLY left behind: they cost every write and answer no query.
SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND NOT (i.indisvalid AND i.indisready)
ORDER BY 1
