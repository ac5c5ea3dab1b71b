-- The entries that name a temp id, as their row or in a reference.
SELECT o.op, o.resource_type, o.row_id, o.entry, o.status
FROM _needs n JOIN _outbox o ON o.op = n.op
WHERE n.temp_id = :temp_id ORDER BY o.seq
