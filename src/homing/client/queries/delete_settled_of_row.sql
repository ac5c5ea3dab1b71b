-- Edits of a row that left hold its values too.
DELETE FROM _outbox WHERE resource_type = ? AND row_id = ? AND status = 'settled'
