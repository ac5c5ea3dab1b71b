-- What events amount to, by the day they happened: added up once a day, by arrival, so that asking about a year does not read
-- a year of events. Users stay apart, because how many there were of two days together is not a sum.
CREATE TABLE homing.usage_days (
    day date NOT NULL,                          -- of `at`, in UTC
    platform text NOT NULL,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    event text NOT NULL,
    feature text NOT NULL,                      -- of feature_usage, its first 200 characters; '' of others
    events bigint NOT NULL,
    seconds numeric NOT NULL,                   -- sum of the durations, and of how many
    timed bigint NOT NULL,
    completed numeric NOT NULL,                 -- sum of the completion rates, and of how many
    judged bigint NOT NULL,
    PRIMARY KEY (day, platform, user_id, event, feature)
);
CREATE INDEX usage_days_user ON homing.usage_days (user_id);

-- Events that arrived before this moment are in usage_days. One row, which whoever adds up locks.
CREATE TABLE homing.usage_added (
    until timestamptz NOT NULL
);
CREATE UNIQUE INDEX usage_added_one ON homing.usage_added ((true));
INSERT INTO homing.usage_added VALUES ('-infinity');

-- Events lie about as they arrived, and most happened just before: a few bytes for each stretch of them are enough.
CREATE INDEX analytics_events_arrived ON homing.analytics_events USING brin (created_at, at timestamptz_minmax_multi_ops);

-- An event's part in the sums. A duration is a number of seconds, of a day at most, a completion rate one of 0 to 100:
-- whatever else they say counts as none. No SET clause in these two: with one they would not be inlined.
CREATE FUNCTION homing.measure_event(event text, properties jsonb)
RETURNS TABLE (feature text, duration numeric, completion numeric) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1 AS $$
    SELECT CASE WHEN event = 'feature_usage' AND pg_catalog.jsonb_typeof(properties -> 'feature') = 'string'
                THEN pg_catalog.left(properties ->> 'feature', 200) ELSE '' END,
        CASE WHEN event = 'feature_usage' THEN pg_catalog.round(
            pg_catalog.jsonb_path_query_first(properties, '$.duration ? (@ >= 0 && @ <= 86400)')::pg_catalog.numeric, 6) END,
        CASE WHEN event = 'feature_usage' THEN pg_catalog.round(
            pg_catalog.jsonb_path_query_first(properties, '$.completion_rate ? (@ >= 0 && @ <= 100)')::pg_catalog.numeric, 6) END
$$;

-- What happened from `since` on, before `upto`: of whole days as they were added up, with what arrived afterwards; of the
-- days that are asked about in part, each event. Months come first, so that partitions outside them are not opened.
CREATE FUNCTION homing.usage_between(since timestamptz, upto timestamptz) RETURNS TABLE (
    platform text, user_id uuid, event text, feature text, events bigint,
    seconds numeric, timed bigint, completed numeric, judged bigint
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT d.platform, d.user_id, d.event, d.feature, d.events, d.seconds, d.timed, d.completed, d.judged
    FROM homing.usage_days d
    WHERE d.day >= (date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC') AT TIME ZONE 'UTC')::date
      AND d.day < (date_trunc('day', upto, 'UTC') AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT e.platform, e.user_id, e.event, m.feature, 1, coalesce(m.duration, 0), (m.duration IS NOT NULL)::int,
        coalesce(m.completion, 0), (m.completion IS NOT NULL)::int
    FROM homing.analytics_events e CROSS JOIN LATERAL homing.measure_event(e.event, e.properties) m
    WHERE e.month >= date_trunc('month', date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC'), 'UTC')
      AND e.month < date_trunc('day', upto, 'UTC')
      AND e.at >= date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC')
      AND e.at < date_trunc('day', upto, 'UTC')
      AND e.created_at >= (SELECT a.until FROM homing.usage_added a)
    UNION ALL
    SELECT e.platform, e.user_id, e.event, m.feature, 1, coalesce(m.duration, 0), (m.duration IS NOT NULL)::int,
        coalesce(m.completion, 0), (m.completion IS NOT NULL)::int
    FROM homing.analytics_events e CROSS JOIN LATERAL homing.measure_event(e.event, e.properties) m
    WHERE e.month >= date_trunc('month', since, 'UTC') AND e.month < upto
      AND e.at >= since
      AND e.at < least(upto, date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC'))
    UNION ALL
    SELECT e.platform, e.user_id, e.event, m.feature, 1, coalesce(m.duration, 0), (m.duration IS NOT NULL)::int,
        coalesce(m.completion, 0), (m.completion IS NOT NULL)::int
    FROM homing.analytics_events e CROSS JOIN LATERAL homing.measure_event(e.event, e.properties) m
    WHERE e.month >= date_trunc('month', upto, 'UTC') AND e.month < upto
      AND e.at >= greatest(date_trunc('day', upto, 'UTC'),
                           date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC'))
      AND e.at < upto
$$;
