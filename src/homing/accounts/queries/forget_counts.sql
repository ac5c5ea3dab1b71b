-- Keys of which nothing counts any more. A few thousand at a time, and never one that somebody is counting with.
DELETE FROM homing.rate_counts WHERE key IN (
    SELECT key FROM homing.rate_counts
    WHERE (slot + 17) * (seconds / 15.0) < extract(epoch FROM clock_timestamp())
    LIMIT 10000 FOR UPDATE SKIP LOCKED
)
