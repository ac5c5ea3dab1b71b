-- A device's sync_metadata, cursor and what waits for a person because of it.
SELECT m.last_sync_timestamp, coalesce(m.pending_outgoing_count, 0), coalesce(m.sync_status, 'idle'),
       c.acked_at, d.status::text, d.trust_score,
       (SELECT count(*) FROM homing.sync_items i WHERE i.device_id = d.id AND i.quarantined_at IS NOT NULL
          AND i.discarded_at IS NULL),
       (SELECT count(*) FROM homing.conflicts k WHERE k.device_id = d.id AND k.resolution = 'pending')
FROM homing.mobile_devices d
LEFT JOIN homing.sync_metadata m ON m.device_id = d.device_id
LEFT JOIN homing.cursors c ON c.device_id = d.id
WHERE d.id = %(device)s
