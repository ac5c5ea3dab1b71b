-- The trail, the latest first. A line that ends in "when" stays only where that filter is asked for
-- (homing/postgres/lines.py).
SELECT a.id, a.entity_type, a.entity_id, a.action, a.details::text, a.user_id, u.name, a.job_id, a.created_at,
       a.created_at::text
FROM crm.activity_logs a JOIN homing.users u ON u.id = a.user_id
WHERE true
  AND a.job_id = ANY (ARRAY(SELECT w.job_id FROM crm.job_assignments w WHERE w.user_id = %(worker)s::uuid))  -- when worker
  AND a.job_id = %(job)s::uuid  -- when job
  AND a.user_id = %(user)s::uuid  -- when user
  AND a.entity_type = %(entity_type)s  -- when entity_type
  AND a.entity_id = %(entity_id)s::uuid  -- when entity_id
  AND a.action = %(action)s  -- when action
  AND a.created_at >= %(since)s::timestamptz  -- when since
  AND a.created_at < %(until)s::timestamptz  -- when until
  AND (a.created_at, a.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY a.created_at DESC, a.id DESC
LIMIT %(limit)s
