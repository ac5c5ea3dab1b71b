-- Remove jobs of a kind that wait for nothing but a worker; how many. Those that a worker is taking are left.
SELECT count(*) FILTER (WHERE homing.discard_job(w.id)) FROM (
    SELECT id FROM procrastinate.procrastinate_jobs
    WHERE queue_name = %(task)s::text AND task_name = %(task)s::text AND status = 'todo' AND lock IS NULL
      AND scheduled_at IS NULL
    LIMIT 1000 FOR UPDATE SKIP LOCKED
) w
