-- The staged rows of one table, for its synced table.
SELECT resource_type, id, version, payload FROM _staged WHERE resource_type = :resource_type AND payload IS NOT NULL
