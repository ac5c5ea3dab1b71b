-- template: How much of a table is dead or free, as a part of it.
SELECT (dead_tuple_percent + approx_free_percent) / 100 FROM homing_extension.pgstattuple_approx(%(table)s::text::regclass)
