-- The office decides. The row shows what the server has; the edit is kept here, to be seen.
UPDATE _outbox
SET status = 'conflict', batch_token = NULL, code = :code, error = :error, conflict_id = :conflict_id,
    server_id = :server_id, server_version = :server_version, server_payload = :server_payload, answered_at = :at
WHERE op = :op
