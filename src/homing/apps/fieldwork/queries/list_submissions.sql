-- One page of submissions, newest first, as places (when made, id). A line that ends in "when" stays only where that
-- filter is asked for (homing/postgres/lines.py): each combination is a statement of its own with a plan of its own, whereas
-- "%(form)s IS NULL OR …" would have one plan for all, and it could use no index. The three states are lines of their
-- own because they differ so much: as a parameter, the planner would take each for a third of the table. Those in a
-- map's box are found by list_submissions_in_box.sql.
SELECT s.created_at::text, s.id
FROM fieldwork.submissions s
WHERE true
  AND (s.team_id = ANY (ARRAY(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s)) OR s.author_id = %(user)s)  -- when worker
  AND s.form_id = (SELECT f.id FROM fieldwork.mobile_forms f WHERE f.id = %(form_id)s::uuid OR f.code = %(form)s)  -- when form
  AND s.device_id = (SELECT d.id FROM homing.mobile_devices d WHERE d.id = %(device_id)s::uuid OR d.device_id = %(device)s ORDER BY d.device_id = %(device)s DESC LIMIT 1)  -- when device
  AND s.status = 'pending'  -- when pending
  AND s.status = 'approved'  -- when approved
  AND s.status = 'rejected'  -- when rejected
  AND s.team_id = %(team)s::uuid  -- when team
  AND s.author_id = %(author)s::uuid  -- when author
  AND s.created_at >= %(since)s::timestamptz  -- when since
  AND s.created_at < %(until)s::timestamptz  -- when until
  AND (s.created_at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY s.created_at DESC, s.id DESC
LIMIT %(limit)s
