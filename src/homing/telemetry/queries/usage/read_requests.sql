-- Response times and errors, by platform: every node's tallies of these hours, bucket by bucket.
WITH asked AS (
    SELECT t.platform, t.requests, t.client_errors, t.server_errors, t.seconds, t.buckets
    FROM homing.request_tallies t
    WHERE t.hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC') AND t.hour < %(until)s
), counted AS (
    SELECT a.platform, b.n, sum(b.count) AS count
    FROM asked a, unnest(a.buckets) WITH ORDINALITY AS b (count, n)
    GROUP BY a.platform, b.n
)
SELECT a.platform, sum(a.requests)::bigint, sum(a.client_errors)::bigint, sum(a.server_errors)::bigint, sum(a.seconds),
    (SELECT array_agg(c.count::bigint ORDER BY c.n) FROM counted c WHERE c.platform = a.platform)
FROM asked a
GROUP BY a.platform
ORDER BY a.platform
