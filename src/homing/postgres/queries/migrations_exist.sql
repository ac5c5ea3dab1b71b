-- Whether anything was ever migrated here: asking for the status of an empty database must not write to it.
SELECT to_regclass('public.homing_migrations') IS NOT NULL
