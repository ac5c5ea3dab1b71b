-- The staged delta is visible now, or given up.
DELETE FROM _staged
