-- One page of meters, newest first, as places (when made, id); see list_submissions.sql for "when".
SELECT m.created_at::text, m.id
FROM fieldwork.meters m
WHERE true
  AND m.team_id = ANY (ARRAY(SELECT t.team_id FROM fieldwork.team_members t WHERE t.user_id = %(user)s))  -- when worker
  AND m.team_id = %(team)s::uuid  -- when team
  AND (m.created_at, m.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY m.created_at DESC, m.id DESC
LIMIT %(limit)s
