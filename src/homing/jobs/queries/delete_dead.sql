-- Dead jobs that nobody wanted to look at.
DELETE FROM procrastinate.procrastinate_jobs WHERE id IN (
    SELECT j.id FROM procrastinate.procrastinate_jobs j
    JOIN procrastinate.procrastinate_events e ON e.job_id = j.id
    WHERE j.status NOT IN ('todo', 'doing') GROUP BY j.id HAVING max(e.at) < %(before)s::timestamptz
)
