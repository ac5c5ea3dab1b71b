-- The number of a synced table, given once and kept for ever.
WITH made AS (
    INSERT INTO homing.synced_tables (name) VALUES (%(name)s) ON CONFLICT (name) DO NOTHING RETURNING id, triggers
)
SELECT id, triggers FROM made UNION ALL SELECT id, triggers FROM homing.synced_tables WHERE name = %(name)s LIMIT 1
