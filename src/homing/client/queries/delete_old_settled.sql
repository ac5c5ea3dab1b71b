-- Kept long enough: any backup the server could come back from is younger.
DELETE FROM _outbox WHERE status = 'settled' AND answered_at < :before
