-- Only a sync that came to its end is a last sync. A row that would stay as it is is not written, but for the time of a
-- sync. Of whom it is: opened (device).
INSERT INTO homing.sync_metadata (device_id, last_sync_timestamp, pending_outgoing_count, sync_status)
SELECT o.device, CASE WHEN %(status)s = 'idle' THEN %(now)s::timestamptz END, coalesce(%(pending)s::int, 0), %(status)s
FROM opened o
ON CONFLICT (device_id) DO UPDATE SET sync_status = excluded.sync_status,
    last_sync_timestamp = coalesce(excluded.last_sync_timestamp, sync_metadata.last_sync_timestamp),
    pending_outgoing_count = coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count)
WHERE (sync_metadata.sync_status, sync_metadata.pending_outgoing_count)
        IS DISTINCT FROM (excluded.sync_status, coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count))
   OR excluded.last_sync_timestamp IS NOT NULL
