-- Seconds until there is something to do: a waiting job, a job to take over from a dead worker, a periodic one. Zero or
-- less: now. NULL: nobody has looked at this database yet. And for the metrics: jobs that wait though their time has
-- come, for how long the oldest of them, and dead ones.
SELECT CASE WHEN EXISTS (SELECT FROM homing.periodic_jobs WHERE name = ANY (%(names)s::text[])) THEN
    extract(epoch FROM least(
        (SELECT min(next_at) FROM homing.periodic_jobs WHERE name = ANY (%(names)s::text[])) - %(now)s::timestamptz,
        (SELECT min(coalesce(scheduled_at, now())) FROM procrastinate.procrastinate_jobs
         WHERE status = 'todo' AND queue_name = ANY (%(names)s::text[])) - now(),
        (SELECT min(coalesce(w.last_heartbeat, now()) + make_interval(secs => %(lease)s))
         FROM procrastinate.procrastinate_jobs j
         LEFT JOIN procrastinate.procrastinate_workers w ON w.id = j.worker_id
         WHERE j.status = 'doing' AND j.queue_name = ANY (%(names)s::text[])) - now()
    ))::float8 END,
    c.waiting, coalesce(c.oldest, 0)::float8, c.dead
FROM (
    SELECT count(*) FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now()) AS waiting,
           extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))
                   FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now())) AS oldest,
           count(*) FILTER (WHERE j.status = 'failed') AS dead
    FROM procrastinate.procrastinate_jobs j
    LEFT JOIN LATERAL (SELECT min(e.at) AS at FROM procrastinate.procrastinate_events e WHERE e.job_id = j.id) e ON true
) c
