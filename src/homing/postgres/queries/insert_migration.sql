-- Beside the migration's own statements, in its transaction.
INSERT INTO public.homing_migrations (set, version, name, checksum)
VALUES (%(set)s, %(version)s, %(name)s, %(checksum)s)
