-- What the server last said of one row.
SELECT version, payload FROM _base WHERE resource_type = :resource_type AND id = :id
