-- Claim the batch's id, and only with it in hand store the batch and its metrics: of two sendings at once the second
-- waits for the first and then claims nothing. One statement, one round trip.
WITH claimed AS (
    INSERT INTO homing.telemetry_batches (device_id, id, body_hash, created_at)
    VALUES (%(device_id)s, %(id)s, %(body_hash)s, now())
    ON CONFLICT DO NOTHING
    RETURNING device_id, id, created_at
), stored AS (
    INSERT INTO homing.telemetry (id, device_id, metrics, created_at)
    SELECT c.id, c.device_id, %(metrics)s::jsonb, c.created_at FROM claimed c
), told AS (
    INSERT INTO homing.telemetry_metrics (device_id, name, value, meta, at, created_at)
    SELECT c.device_id, m.name, m.value, m.meta, least(m.at, c.created_at), c.created_at
    FROM claimed c,
         ROWS FROM (jsonb_to_recordset(%(metrics)s::jsonb)
                    AS (name text, value jsonb, meta jsonb, "timestamp" timestamptz))
         WITH ORDINALITY AS m (name, value, meta, at, place)
    ORDER BY m.place
)
SELECT id, created_at FROM claimed
