-- The edits laid over a row, in the order they were made. `applied` ones stay until a pull shows their effect.
SELECT entry FROM _outbox
WHERE resource_type = :resource_type AND row_id = :row_id AND status IN ('queued', 'in_flight', 'held', 'applied')
ORDER BY seq
