-- The SQLite names given to synced tables so far.
SELECT resource_type, name FROM _tables
