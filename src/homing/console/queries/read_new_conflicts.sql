-- Conflicts that came up in the last day, by half hour, of the latest so many: decided since, and still waiting.
SELECT extract(epoch FROM date_bin('30 minutes', c.created_at, timestamptz '2000-01-01'))::bigint AS at, count(*) AS conflicts
FROM (SELECT w.created_at FROM (
          (SELECT p.created_at FROM homing.conflicts p WHERE p.resolution = 'pending'
           AND p.created_at > %(now)s::timestamptz - interval '1 day' ORDER BY p.created_at DESC LIMIT 5000)
          UNION ALL
          (SELECT r.created_at FROM homing.conflicts r WHERE r.resolution = 'resolved'
           AND r.created_at > %(now)s::timestamptz - interval '1 day' ORDER BY r.created_at DESC LIMIT 5000)) w) c
GROUP BY 1 ORDER BY 1
