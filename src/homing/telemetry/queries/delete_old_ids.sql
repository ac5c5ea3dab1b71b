-- Idempotency keys live as long as the batches do.
DELETE FROM homing.telemetry_batches WHERE created_at < %(before)s
