-- Permits for some keys, in the order of the keys given.
SELECT granted, slot, lasts, rest, wait
FROM homing.take_permits(%(keys)s::bytea[], %(quotas)s::integer[], %(windows)s::integer[], %(spent)s::integer[],
                         %(slots)s::bigint[], %(backs)s::integer[], %(most)s::integer)
ORDER BY place
