-- The floor rises to what was finished everywhere before the cutoff. Tokens from below it must start again.
WITH reached AS (SELECT max(xmin::text::numeric) AS xmin FROM homing.instants WHERE at <= %(cutoff)s)
UPDATE homing.epoch e SET floor = r.xmin::text::xid8 FROM reached r
WHERE r.xmin IS NOT NULL AND r.xmin::text::xid8 > e.floor RETURNING e.floor::text
