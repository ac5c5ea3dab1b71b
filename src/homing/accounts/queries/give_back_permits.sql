-- Permits that nobody used. Slots that count no more are passed by.
SELECT homing.give_back_permits(%(keys)s::bytea[], %(slots)s::bigint[], %(backs)s::integer[])
