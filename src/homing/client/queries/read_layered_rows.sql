-- The rows that have edits laid over them.
SELECT DISTINCT resource_type, row_id FROM _outbox WHERE status IN ('queued', 'in_flight', 'held', 'applied')
