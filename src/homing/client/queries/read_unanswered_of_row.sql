-- The edits of a row that no pull can have taken into account, newest first.
SELECT entry FROM _outbox
WHERE resource_type = :resource_type AND row_id = :row_id AND status IN ('queued', 'in_flight', 'held') ORDER BY seq DESC
