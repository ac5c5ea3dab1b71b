-- Whether the core was ever migrated here; needs no rights.
SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'homing' AND tablename = 'synced_tables')
