-- Which features are used, for how long, and to the end or not: the spec's feature_usage, the most used first.
SELECT e.properties ->> 'feature', e.platform, count(*), count(DISTINCT e.user_id),
    avg(jsonb_path_query_first(e.properties, '$.duration ? (@ >= 0 && @ <= 86400)')::numeric)::float8,
    avg(jsonb_path_query_first(e.properties, '$.completion_rate ? (@ >= 0 && @ <= 100)')::numeric)::float8
FROM homing.analytics_events e
WHERE e.event = 'feature_usage' AND jsonb_typeof(e.properties -> 'feature') = 'string'
    AND e.month >= date_trunc('month', %(since)s::timestamptz, 'UTC') AND e.month < %(until)s
    AND e.at >= %(since)s AND e.at < %(until)s
GROUP BY e.properties ->> 'feature', e.platform
ORDER BY count(*) DESC, e.properties ->> 'feature', e.platform
LIMIT %(limit)s
