-- Jobs whose worker died: another try, or dead if that was the last. The row is looked at again once it is locked, so of
-- two nodes that do this at once only one counts the try.
WITH lost AS (
    SELECT j.id, j.attempts + 1 AS attempt, coalesce((%(tries)s::text::jsonb ->> j.task_name)::integer, 1) AS tries
    FROM procrastinate.procrastinate_jobs j
    LEFT JOIN procrastinate.procrastinate_workers w ON w.id = j.worker_id
    WHERE j.status = 'doing' AND j.task_name = ANY (%(names)s::text[])
      AND (w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => %(lease)s))
    FOR UPDATE OF j SKIP LOCKED
), noted AS (
    INSERT INTO homing.job_failures (job_id, attempt, error)
    SELECT id, attempt, 'its worker died, or did not give a sign of life for ' || %(lease)s || ' s' FROM lost
    ON CONFLICT (job_id, attempt) DO NOTHING
)
UPDATE procrastinate.procrastinate_jobs AS j
SET status = (CASE WHEN attempt >= tries THEN 'failed' ELSE 'todo' END)::procrastinate.procrastinate_job_status,
    attempts = attempt, worker_id = NULL, abort_requested = false
FROM lost WHERE j.id = lost.id AND j.status = 'doing'
RETURNING j.id, j.status = 'failed'
