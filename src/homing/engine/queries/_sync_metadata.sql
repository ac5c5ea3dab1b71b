-- Only a sync that came to its end is a last sync. A row is not written that would stay as it is, but for a last sync
-- within the same second: who sends much writes it once a second. Of whom it is: caller (device).
INSERT INTO homing.sync_metadata (device_id, last_sync_timestamp, pending_outgoing_count, sync_status)
SELECT c.device, CASE WHEN %(status)s = 'idle' THEN %(now)s::timestamptz END, coalesce(%(pending)s::int, 0), %(status)s
FROM caller c LEFT JOIN homing.sync_metadata m ON m.device_id = c.device
WHERE (m.sync_status, m.pending_outgoing_count)
        IS DISTINCT FROM (%(status)s, coalesce(%(pending)s::int, m.pending_outgoing_count))
   OR %(status)s = 'idle' AND (m.last_sync_timestamp BETWEEN
          %(now)s::timestamptz - interval '1 second' AND %(now)s::timestamptz + interval '1 second') IS NOT TRUE
ON CONFLICT (device_id) DO UPDATE SET sync_status = excluded.sync_status,
    last_sync_timestamp = coalesce(excluded.last_sync_timestamp, sync_metadata.last_sync_timestamp),
    pending_outgoing_count = coalesce(%(pending)s::int, sync_metadata.pending_outgoing_count)
