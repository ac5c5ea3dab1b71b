-- A page of devices, the newest first, along the index of this order: of 100,000 devices a page is read, not all. A line
-- that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py): with conditions that are
-- switched off by NULL the planner would expect few rows, and read and sort every one.
-- include _device_shown
WHERE true
  -- include _device_filters
ORDER BY d.created_at DESC, d.id DESC
LIMIT %(limit)s
