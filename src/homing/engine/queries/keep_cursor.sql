-- What a device has stored for good. Never backwards, and never for an epoch that is over; returns what was delivered
-- since the last one. `seen` makes the lock come before the write: a row that its own statement has written already
-- cannot be locked, and would be missing from `before`.
WITH before AS (
    SELECT snapshot, epoch, delivered FROM homing.cursors WHERE device_id = %(device)s FOR UPDATE
), kept AS (
    INSERT INTO homing.cursors (device_id, snapshot, epoch, delivered, acked_at)
    SELECT %(device)s, %(snapshot)s::text::pg_snapshot, %(epoch)s, %(delivered)s, %(now)s
    FROM (SELECT count(*) FROM before) AS seen, homing.epoch AS e
    WHERE e.epoch = %(epoch)s
    ON CONFLICT (device_id) DO UPDATE SET snapshot = excluded.snapshot, epoch = excluded.epoch,
        delivered = excluded.delivered, acked_at = excluded.acked_at
    WHERE cursors.epoch <> excluded.epoch
       OR (pg_snapshot_xmax(excluded.snapshot), pg_snapshot_xmin(excluded.snapshot))
          > (pg_snapshot_xmax(cursors.snapshot), pg_snapshot_xmin(cursors.snapshot))
    RETURNING delivered
)
SELECT k.delivered - CASE WHEN b.epoch = %(epoch)s AND b.delivered <= k.delivered THEN b.delivered ELSE 0 END
FROM kept k LEFT JOIN before b ON true
