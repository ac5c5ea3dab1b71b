-- The floor rises to what was finished everywhere before the cutoff. Tokens from below it must start again.
WITH reached AS (SELECT max(horizon::text::numeric)::text::xid8 AS horizon FROM homing.instants WHERE at <= %(cutoff)s)
UPDATE homing.epoch e SET floor = r.horizon FROM reached r
WHERE r.horizon IS NOT NULL AND r.horizon > e.floor RETURNING e.floor::text
