-- A name for this transaction's snapshot, for pg_dump to see the same; and the server's version.
SELECT pg_export_snapshot(), current_setting('server_version')
