-- What became of the items that devices pushed. Pending ones have no answer yet, and count nowhere.
SELECT count(*) FILTER (WHERE i.status = 'ok'), count(*) FILTER (WHERE i.status = 'conflict'),
    count(*) FILTER (WHERE i.status = 'error')
FROM homing.sync_batches b
JOIN homing.sync_items i ON i.batch_id = b.id
WHERE b.created_at >= %(since)s AND b.created_at < %(until)s AND b.device_id IS NOT NULL
