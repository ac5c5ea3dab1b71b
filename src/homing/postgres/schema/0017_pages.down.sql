DROP INDEX homing.history_deletes;
DROP INDEX homing.history_at;
CREATE INDEX history_at ON homing.history USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
