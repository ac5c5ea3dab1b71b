-- What the audit log finds, whatever the size of the history.
-- Somebody's changes among all changes: beside the times of each range of pages a filter says who is in it. As before,
-- those who write pay nearly nothing, where an index in order would be paid by every change. It is one index and not a
-- second one, because the planner takes any span of time for a short one, and would read all of it by the other.
DROP INDEX homing.history_at;
CREATE INDEX history_at ON homing.history USING brin (at, actor text_bloom_ops (n_distinct_per_range = 1000))
    WITH (pages_per_range = 16, autosummarize = on);
-- Removals are few among changes.
CREATE INDEX history_deletes ON homing.history (at DESC, table_id DESC, row_id DESC, version DESC) WHERE action = 'delete';
