-- What is stored of a device that bears on its trust: its clock, and how many of its recent items were refused.
SELECT d.trust_score, d.clock_offset, i.items, i.refused
FROM homing.mobile_devices d
CROSS JOIN LATERAL (
    SELECT count(*) AS items, count(*) FILTER (WHERE s.status = 'error') AS refused
    FROM homing.sync_batches b
    JOIN homing.sync_items s ON s.batch_id = b.id
    WHERE b.device_id = d.id AND b.created_at >= %(since)s
) i
WHERE d.id = %(id)s
