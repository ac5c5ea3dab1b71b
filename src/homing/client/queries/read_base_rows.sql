-- Every row the server gave us of one table.
SELECT resource_type, id, version, payload FROM _base WHERE resource_type = :resource_type
