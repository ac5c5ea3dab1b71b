-- End every session on a database; how many there were.
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = %(database)s::text AND pid <> pg_backend_pid()
