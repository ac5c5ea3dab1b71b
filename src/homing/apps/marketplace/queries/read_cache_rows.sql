-- How many rows of each kind a phone keeps at hand.
SELECT entity, max_rows FROM marketplace.offline_cache_metadata
