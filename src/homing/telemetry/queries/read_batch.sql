-- A batch that was taken before.
SELECT id, created_at, body_hash FROM homing.telemetry_batches WHERE device_id = %(device_id)s AND id = %(id)s
