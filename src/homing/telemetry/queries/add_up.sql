-- Add the events that arrived in a time to the days on which they happened, and say that it was done; how many rows.
WITH added AS (
    INSERT INTO homing.usage_days AS d (day, platform, user_id, event, feature, events, seconds, timed, completed, judged)
    SELECT (e.at AT TIME ZONE 'UTC')::date, e.platform, e.user_id, e.event, m.feature, count(*),
        coalesce(sum(m.duration), 0), count(m.duration), coalesce(sum(m.completion), 0), count(m.completion)
    FROM homing.analytics_events e CROSS JOIN LATERAL homing.measure_event(e.event, e.properties) m
    WHERE e.created_at >= %(since)s::timestamptz AND e.created_at < %(until)s::timestamptz
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (day, platform, user_id, event, feature) DO UPDATE
    SET events = d.events + excluded.events, seconds = d.seconds + excluded.seconds, timed = d.timed + excluded.timed,
        completed = d.completed + excluded.completed, judged = d.judged + excluded.judged
    RETURNING 1
), noted AS (
    UPDATE homing.usage_added SET until = %(until)s::timestamptz
)
SELECT count(*) FROM added
