-- Edits not yet sent that were based on a version the server does not have.
SELECT o.op, o.entry, b.version FROM _outbox o
JOIN _base b ON b.resource_type = o.resource_type AND b.id = o.row_id
WHERE o.status = 'queued' AND o.action <> 'create' AND o.client_version > b.version
