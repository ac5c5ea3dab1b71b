-- Until when events were added up; whoever else is about to waits. Before anything was, since the first one arrived.
SELECT CASE WHEN isfinite(a.until) THEN a.until
            ELSE (SELECT min(e.created_at) FROM homing.analytics_events e) END
FROM homing.usage_added a FOR UPDATE OF a
