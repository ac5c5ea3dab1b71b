-- Entries of the outbox, whatever their status.
SELECT count(*) AS entries FROM _outbox
