-- The server applied the edit; it stays laid over its row until a pull shows it.
UPDATE _outbox
SET status = 'applied', batch_token = NULL, server_id = :server_id, server_version = :server_version, merged = :merged,
    code = NULL, error = NULL, answered_at = :at
WHERE op = :op
