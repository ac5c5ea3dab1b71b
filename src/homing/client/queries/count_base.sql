-- Rows the server gave us, by table.
SELECT resource_type, count(*) AS rows FROM _base GROUP BY resource_type ORDER BY resource_type
