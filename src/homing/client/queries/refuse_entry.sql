-- A person has to look. The row shows what the server has; the edit is kept here, to be seen.
UPDATE _outbox SET status = 'refused', batch_token = NULL, code = :code, error = :error, answered_at = :at
WHERE op = :op
