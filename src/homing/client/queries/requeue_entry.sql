-- Back in the queue without a verdict, as it was: `item` is kept, because the server may know the key already.
UPDATE _outbox
SET status = 'queued', batch_token = NULL, tries = CASE WHEN :tries THEN tries + 1 ELSE 0 END, server_id = NULL,
    server_version = NULL, merged = 0, passes = 0, conflict_id = NULL, code = NULL, error = NULL, server_payload = NULL,
    answered_at = NULL
WHERE op = :op
