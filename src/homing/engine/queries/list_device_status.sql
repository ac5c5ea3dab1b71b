-- What the server knows of some devices' sync, one line each: for pages about many of them. What waits is counted along
-- an index of each device's own.
SELECT d.id, m.last_sync_timestamp, coalesce(m.pending_outgoing_count, 0), coalesce(m.sync_status, 'idle'),
       c.acked_at, c.delivered, c.epoch = e.epoch,
       (SELECT count(*) FROM homing.sync_items i WHERE i.device_id = d.id AND i.quarantined_at IS NOT NULL
          AND i.discarded_at IS NULL),
       (SELECT count(*) FROM homing.conflicts k WHERE k.device_id = d.id AND k.resolution = 'pending'),
       CASE WHEN d.status = 'revoked' AND m.sync_status = 'error' AND m.updated_at > d.updated_at THEN m.updated_at END,
       d.resync_at
FROM homing.mobile_devices d
CROSS JOIN homing.epoch e
LEFT JOIN homing.sync_metadata m ON m.device_id = d.device_id
LEFT JOIN homing.cursors c ON c.device_id = d.id
WHERE d.id = ANY (%(devices)s::uuid[])
