-- How a job went, the latest first, with who said so.
SELECT h.id, h.job_id, h.from_status, h.to_status, h.changed_by_id, u.name, h.changed_at
FROM crm.job_status_history h JOIN homing.users u ON u.id = h.changed_by_id
WHERE h.job_id = %(job)s::uuid
  AND (h.changed_at, h.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
ORDER BY h.changed_at DESC, h.id DESC
LIMIT %(limit)s
