-- Jobs that wait, run or are dead, the oldest first, with the last error.
SELECT j.id, j.task_name AS task, j.lock AS key, j.attempts, j.scheduled_at AS not_before, e.at AS enqueued_at,
       f.error,
       CASE j.status WHEN 'todo' THEN 'waiting' WHEN 'doing' THEN 'running' ELSE 'dead' END AS status
FROM procrastinate.procrastinate_jobs j
LEFT JOIN LATERAL (SELECT min(e.at) AS at FROM procrastinate.procrastinate_events e WHERE e.job_id = j.id) e ON true
LEFT JOIN LATERAL (
    SELECT f.error FROM homing.job_failures f WHERE f.job_id = j.id ORDER BY f.attempt DESC LIMIT 1
) f ON true
WHERE (%(after)s::bigint IS NULL OR j.id > %(after)s::bigint)
  AND (%(task)s::text IS NULL OR j.task_name = %(task)s::text)
  AND (%(status)s::text IS NULL
       OR %(status)s::text = CASE j.status WHEN 'todo' THEN 'waiting' WHEN 'doing' THEN 'running' ELSE 'dead' END)
  AND j.status <> 'succeeded'
ORDER BY j.id
LIMIT %(limit)s
