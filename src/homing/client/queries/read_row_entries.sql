-- All entries of one row, whatever their status.
SELECT op, entry, status, client_version, item FROM _outbox
WHERE resource_type = :resource_type AND row_id = :row_id ORDER BY seq
