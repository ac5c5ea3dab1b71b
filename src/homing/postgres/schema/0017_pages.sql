-- What the audit log finds, whatever the size of the history.
-- Somebody's changes among all changes: a filter of each range of pages says whether they are in it. As with history_at,
-- those who write pay nearly nothing, where an index in order would be paid by every change.
CREATE INDEX history_actor ON homing.history USING brin (at, actor text_bloom_ops (n_distinct_per_range = 1000))
    WITH (pages_per_range = 16, autosummarize = on);
-- Removals are few among changes.
CREATE INDEX history_deletes ON homing.history (at DESC, table_id DESC, row_id DESC, version DESC) WHERE action = 'delete';
