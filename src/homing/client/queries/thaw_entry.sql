-- The next sending makes the item anew: its key was not bound by a verdict, or is a new one.
UPDATE _outbox SET item = NULL WHERE op = :op
