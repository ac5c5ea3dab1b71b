-- Events that are new are kept, in one statement however many they are; which those were. In the order of their keys, so
-- that two sendings of the same events wait for each other in one order only.
INSERT INTO homing.analytics_events
    (user_id, key, month, device_id, event, properties, platform, os, os_version, model, app_version, at, said_at,
     created_at)
SELECT %(user_id)s, e.key, date_trunc('month', least(e.said_at, now()), 'UTC'), %(device_id)s::uuid, e.event,
    e.properties, e.platform, e.os, e.os_version, e.model,
    left(coalesce(e.properties ->> 'app_version', (SELECT nullif(d.app_version, '') FROM homing.mobile_devices d
                                                   WHERE d.id = %(device_id)s::uuid)), 100),
    least(e.said_at, now()), e.said_at, now()
FROM jsonb_to_recordset(%(events)s::jsonb)
     AS e (key uuid, event text, properties jsonb, platform text, os text, os_version text, model text,
           said_at timestamptz)
ORDER BY e.key
ON CONFLICT DO NOTHING
RETURNING key
