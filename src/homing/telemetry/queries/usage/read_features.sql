-- Which features are used, for how long, and to the end or not: the spec's feature_usage, the most used first.
SELECT u.feature, u.platform, sum(u.events)::bigint, count(DISTINCT u.user_id),
    (sum(u.seconds) / nullif(sum(u.timed), 0))::float8, (sum(u.completed) / nullif(sum(u.judged), 0))::float8
FROM homing.usage_between(%(since)s::timestamptz, %(until)s::timestamptz) u
WHERE u.event = 'feature_usage' AND u.feature <> ''
GROUP BY u.feature, u.platform
ORDER BY sum(u.events) DESC, u.feature, u.platform
LIMIT %(limit)s
