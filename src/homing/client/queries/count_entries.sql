-- How many entries stand where.
SELECT status, count(*) AS entries FROM _outbox GROUP BY status
