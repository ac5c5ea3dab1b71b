-- The same edit under a new key.
UPDATE _outbox SET op = :new WHERE op = :old
