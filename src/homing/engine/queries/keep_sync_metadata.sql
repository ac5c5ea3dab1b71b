-- Spec 3's summary of a device: when it last synced, what it still holds back, whether it is at it. Only a sync that came
-- to its end is a last sync. A row that would stay as it is is not written, but for the time of a sync.
INSERT INTO homing.sync_metadata (device_id, last_sync_timestamp, pending_outgoing_count, sync_status)
VALUES (%(device)s, CASE WHEN %(status)s = 'idle' THEN %(now)s::timestamptz END, coalesce(%(pending)s::int, 0), %(status)s)
ON CONFLICT (device_id) DO UPDATE SET sync_status = excluded.sync_status,
    last_sync_timestamp = coalesce(excluded.last_sync_timestamp, sync_metadata.last_sync_timestamp),
    pending_outgoing_count = coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count)
WHERE (sync_metadata.sync_status, sync_metadata.pending_outgoing_count)
        IS DISTINCT FROM (excluded.sync_status, coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count))
   OR excluded.last_sync_timestamp IS NOT NULL
