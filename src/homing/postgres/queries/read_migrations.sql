-- What was applied, in the order in which it would have to be undone backwards.
SELECT m.set, m.version, m.name, m.checksum, m.applied_at
FROM public.homing_migrations AS m
ORDER BY m.set, m.version
