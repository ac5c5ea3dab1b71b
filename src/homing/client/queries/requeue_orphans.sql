-- Entries whose batch is not there (it was damaged) go again on their own; their keys protect them.
UPDATE _outbox SET status = 'queued', batch_token = NULL
WHERE status IN ('in_flight', 'held') AND (batch_token IS NULL OR batch_token NOT IN (SELECT batch_token FROM _batches))
