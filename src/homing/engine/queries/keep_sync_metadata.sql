-- Spec 3's summary of a device: when it last synced, what it still holds back.
INSERT INTO homing.sync_metadata (device_id, last_sync_timestamp, pending_outgoing_count, sync_status)
VALUES (%(device)s, %(now)s, coalesce(%(pending)s::int, 0), 'idle')
ON CONFLICT (device_id) DO UPDATE SET last_sync_timestamp = excluded.last_sync_timestamp, sync_status = 'idle',
    pending_outgoing_count = coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count)
