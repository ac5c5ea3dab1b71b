-- The office looks at it first.
UPDATE _outbox SET status = 'held', code = :code, error = :error WHERE op = :op
