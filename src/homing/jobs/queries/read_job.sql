-- One job with its arguments and every failed try.
SELECT j.id, j.task_name AS task, j.lock AS key, j.attempts, j.scheduled_at AS not_before, j.args,
       (SELECT min(e.at) FROM procrastinate.procrastinate_events e WHERE e.job_id = j.id) AS enqueued_at,
       (SELECT f.error FROM homing.job_failures f WHERE f.job_id = j.id ORDER BY f.attempt DESC LIMIT 1) AS error,
       coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', f.attempt, 'at', f.at, 'error', f.error) ORDER BY f.attempt)
                 FROM homing.job_failures f WHERE f.job_id = j.id), '[]') AS failures,
       CASE j.status WHEN 'todo' THEN 'waiting' WHEN 'doing' THEN 'running' ELSE 'dead' END AS status
FROM procrastinate.procrastinate_jobs j
WHERE j.id = %(id)s AND j.status <> 'succeeded'
