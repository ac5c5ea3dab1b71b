-- One page of teams, newest first, as places (when made, id); see list_submissions.sql for "when".
SELECT t.created_at::text, t.id
FROM fieldwork.teams t
WHERE true
  AND t.id = ANY (ARRAY(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s))  -- when worker
  AND (t.created_at, t.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s
