-- Removals below the floor: no token that is still good can need them.
DELETE FROM homing.departures d USING homing.epoch e WHERE d.xid < e.floor
