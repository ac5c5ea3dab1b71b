-- Edits that are not settled with the server.
SELECT count(*) AS entries FROM _outbox WHERE status IN ('queued', 'in_flight', 'held')
