-- Jobs posted on each day (UTC) since a moment, of the latest so many of each status: along jobs_of_status, and nothing
-- but the index is read.
SELECT extract(epoch FROM date_bin('1 day', j.created_at, timestamptz '2000-01-01Z'))::bigint AS at, count(*) AS posted
FROM unnest('{open,in_progress,completed,cancelled}'::marketplace.job_status[]) AS s (status)
CROSS JOIN LATERAL (
    SELECT i.created_at FROM marketplace.jobs i
    WHERE i.status = s.status AND i.created_at >= %(since)s
    ORDER BY i.created_at DESC, i.id DESC LIMIT %(limit)s
) j
GROUP BY 1 ORDER BY 1
