-- Discarded, or replaced by a new edit.
DELETE FROM _outbox WHERE op = :op
