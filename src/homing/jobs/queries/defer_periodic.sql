-- Enqueue the periodic jobs whose time has come; how many.
SELECT homing.defer_periodic(%(names)s::text[], %(seconds)s::float8[], %(now)s::timestamptz)
