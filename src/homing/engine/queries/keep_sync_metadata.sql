-- Spec 3's summary of a device: when it last synced, what it still holds back, whether it is at it.
WITH caller AS (SELECT %(device)s::text AS device)
-- include _sync_metadata
