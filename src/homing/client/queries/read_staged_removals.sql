-- The rows that leave with the staged delta.
SELECT resource_type, id FROM _staged WHERE payload IS NULL ORDER BY resource_type
