-- The lowest version that an unanswered edit of a row is based on.
SELECT min(client_version) AS oldest FROM _outbox
WHERE resource_type = :resource_type AND row_id = :row_id AND status IN ('queued', 'in_flight', 'held')
