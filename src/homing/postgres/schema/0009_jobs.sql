-- Jobs: what happens after a request. The queue itself is Procrastinate's, in a schema of its own that homing.jobs.install
-- fills from the installed package; what Homing adds to it is here. The API's role has no right on the queue: it enqueues
-- through homing.defer_job, in the transaction that causes the job.
CREATE SCHEMA procrastinate;

-- Which of Procrastinate's own migrations the schema has.
CREATE TABLE homing.jobs_schema (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version text NOT NULL
);

-- Why a job failed, try by try. Goes with the job.
CREATE TABLE homing.job_failures (
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    error text NOT NULL,
    PRIMARY KEY (job_id, attempt)
);

-- Jobs whose effect is in the database already. Goes with the job.
CREATE TABLE homing.job_effects (
    job_id bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

-- When what happens again and again happens next.
CREATE TABLE homing.periodic_jobs (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL
);

-- Enqueue a job; its id. It is there if and when the calling transaction commits. Of jobs with the same key one waits at
-- most, and one runs at a time: where one waits already, that one is kept from starting until the caller's rows can be
-- seen, and its id is the answer.
CREATE FUNCTION homing.defer_job(job text, args jsonb, key text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, procrastinate, pg_temp AS $$
DECLARE
    waiting bigint;
BEGIN
    FOR round IN 1..2 LOOP
        EXIT WHEN key IS NULL;
        -- The worker's FOR UPDATE SKIP LOCKED passes by a row that is locked so.
        SELECT id INTO waiting FROM procrastinate_jobs
        WHERE lock = key AND task_name = job AND status = 'todo' AND scheduled_at IS NOT DISTINCT FROM at
        ORDER BY id LIMIT 1 FOR KEY SHARE;
        IF FOUND THEN
            PERFORM pg_notify('procrastinate_queue_v1#' || job,
                              json_build_object('type', 'job_inserted', 'job_id', waiting)::text);
            RETURN waiting;
        END IF;
        IF round = 1 THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('homing job ' || key, 0));
        END IF;
    END LOOP;
    RETURN (procrastinate_defer_jobs_v1(ARRAY[ROW(job, job, 0, key, NULL, args, at)]::procrastinate_job_to_defer_v1[]))[1];
END $$;

-- Enqueue the periodic jobs whose time has come; how many. A new one begins a minute from now, so that a server that is
-- restarted again and again does not begin each time. Safe from several nodes: whoever moves the time on enqueues.
CREATE FUNCTION homing.defer_periodic(names text[], seconds double precision[], now timestamptz)
RETURNS integer LANGUAGE sql SET search_path = pg_catalog AS $$
    INSERT INTO homing.periodic_jobs (name, next_at) SELECT n, now + interval '1 minute' FROM unnest(names) AS n
    ON CONFLICT DO NOTHING;
    WITH due AS (
        UPDATE homing.periodic_jobs AS p SET next_at = now + make_interval(secs => d.seconds)
        FROM unnest(names, seconds) AS d(name, seconds) WHERE p.name = d.name AND p.next_at <= now
        RETURNING p.name
    )
    SELECT count(homing.defer_job(name, '{}', name))::integer FROM due;
$$;

-- Try a dead or waiting job at once, with all its tries before it; whether there was one.
CREATE FUNCTION homing.retry_job(id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, procrastinate, pg_temp AS $$
BEGIN
    UPDATE procrastinate_jobs AS j SET status = 'todo', attempts = 0, scheduled_at = NULL, worker_id = NULL
    WHERE j.id = retry_job.id AND status IN ('todo', 'failed', 'cancelled', 'aborted');
    IF FOUND THEN
        DELETE FROM homing.job_failures WHERE job_id = retry_job.id;
        PERFORM pg_notify('procrastinate_queue_v1#' || (SELECT queue_name FROM procrastinate_jobs AS j WHERE j.id = retry_job.id),
                          json_build_object('type', 'job_inserted', 'job_id', retry_job.id)::text);
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- Remove a job that is not running; whether there was one.
CREATE FUNCTION homing.discard_job(id bigint) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, procrastinate, pg_temp AS $$
BEGIN
    DELETE FROM procrastinate_jobs AS j WHERE j.id = discard_job.id AND status <> 'doing';
    RETURN FOUND;
END $$;

REVOKE INSERT, UPDATE, DELETE ON homing.jobs_schema, homing.job_failures, homing.job_effects, homing.periodic_jobs
    FROM homing_api;
