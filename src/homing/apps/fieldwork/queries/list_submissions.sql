-- One page of submissions, newest first, as places (when made, id). A line that ends in "when" stays only where that
-- filter is asked for (homing/postgres/lines.py): each combination is a statement of its own with a plan of its own, whereas
-- "%(form)s IS NULL OR …" would have one plan for all, and it could use no index. Those in a map's box are found by
-- list_submissions_in_box.sql.
SELECT s.created_at::text, s.id
FROM fieldwork.submissions s
WHERE true
  -- include _submission_filters
ORDER BY s.created_at DESC, s.id DESC
LIMIT %(limit)s
