-- Beside the statements of the down file, in their transaction.
DELETE FROM public.homing_migrations AS m WHERE m.set = %(set)s AND m.version = %(version)s
