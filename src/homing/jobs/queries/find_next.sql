-- Seconds until there is something to do: a waiting job, a job to take over from a dead worker, a periodic one. Zero or
-- less: now. NULL: nobody has looked at this database yet.
SELECT CASE WHEN EXISTS (SELECT FROM homing.periodic_jobs WHERE name = ANY (%(names)s::text[])) THEN
    extract(epoch FROM least(
        (SELECT min(next_at) FROM homing.periodic_jobs WHERE name = ANY (%(names)s::text[])) - %(now)s::timestamptz,
        (SELECT min(coalesce(scheduled_at, now())) FROM procrastinate.procrastinate_jobs
         WHERE status = 'todo' AND queue_name = ANY (%(names)s::text[])) - now(),
        (SELECT min(coalesce(w.last_heartbeat, now()) + make_interval(secs => %(lease)s))
         FROM procrastinate.procrastinate_jobs j
         LEFT JOIN procrastinate.procrastinate_workers w ON w.id = j.worker_id
         WHERE j.status = 'doing' AND j.queue_name = ANY (%(names)s::text[])) - now()
    ))::float8 END
