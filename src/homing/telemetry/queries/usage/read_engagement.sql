-- Who does something, how much, and whether it leads anywhere, by platform.
SELECT u.platform, count(DISTINCT u.user_id), sum(u.events)::bigint,
    coalesce(sum(u.events) FILTER (WHERE u.event = 'user_login'), 0)::bigint,
    sum(u.seconds)::float8,
    count(DISTINCT u.user_id) FILTER (WHERE u.event = ANY (%(conversions)s::text[])),
    coalesce(sum(u.events) FILTER (WHERE u.event = 'session_start'), 0)::bigint,
    coalesce(sum(u.events) FILTER (WHERE u.event = 'app_crash'), 0)::bigint,
    count(DISTINCT u.user_id) FILTER (WHERE u.event = 'app_crash')
FROM homing.usage_between(%(since)s::timestamptz, %(until)s::timestamptz) u
GROUP BY u.platform
ORDER BY u.platform
