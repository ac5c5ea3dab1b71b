-- Who does something, how much, and whether it leads anywhere, by platform. The months come first, so that partitions
-- outside them are not opened. A duration is a number of seconds, of a day at most: whatever else it says counts as none.
SELECT e.platform, count(DISTINCT e.user_id), count(*), count(*) FILTER (WHERE e.event = 'user_login'),
    coalesce(sum(jsonb_path_query_first(e.properties, '$.duration ? (@ >= 0 && @ <= 86400)')::numeric)
             FILTER (WHERE e.event = 'feature_usage'), 0)::float8,
    count(DISTINCT e.user_id) FILTER (WHERE e.event = ANY (%(conversions)s::text[])),
    count(*) FILTER (WHERE e.event = 'session_start'),
    count(*) FILTER (WHERE e.event = 'app_crash'),
    count(DISTINCT e.user_id) FILTER (WHERE e.event = 'app_crash')
FROM homing.analytics_events e
WHERE e.month >= date_trunc('month', %(since)s::timestamptz, 'UTC') AND e.month < %(until)s
    AND e.at >= %(since)s AND e.at < %(until)s
GROUP BY e.platform
ORDER BY e.platform
