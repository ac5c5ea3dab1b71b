-- Edits the server applied that no complete pull has shown yet.
SELECT resource_type, row_id FROM _outbox WHERE status = 'applied'
