-- What the console's pages read in order, whatever the size of the tables.
-- Batches that wait for a person are few among millions.
CREATE INDEX sync_batches_held ON homing.sync_batches (created_at DESC, id)
    WHERE held_reason IS NOT NULL AND status = 'received';
-- The audit log reads the latest changes of all tables. Changes are written in order of time, so a summary of each range
-- of pages finds them, and costs those who write nearly nothing; an index in order would be paid by every change.
CREATE INDEX history_at ON homing.history USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
