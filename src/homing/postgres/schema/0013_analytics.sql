-- What people do with an application, as their devices and browsers tell, and as the server sees (spec 4); monthly
-- partitions. `at` is when it happened, as the device said, but never later than its arrival; `month` is that of `at`.
CREATE TABLE homing.analytics_events (
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    key uuid NOT NULL,                          -- made of the client's id of the event, or of the event itself
    month timestamptz NOT NULL,                 -- and not `at`: an event of the future has another one each time it is sent
    device_id uuid,                             -- as it was, whatever became of the device
    event text NOT NULL CHECK (event <> ''),
    properties jsonb NOT NULL DEFAULT '{}',
    platform text NOT NULL CHECK (platform IN ('web', 'mobile')),
    os text,                                    -- deviceInfo.platform
    os_version text,                            -- deviceInfo.version
    model text,                                 -- deviceInfo.model
    app_version text,
    at timestamptz NOT NULL,
    said_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key, month),
    CHECK (at <= created_at AND at <= said_at)
) PARTITION BY RANGE (month);
CREATE INDEX analytics_events_at ON homing.analytics_events (event, at);
CREATE TABLE homing.analytics_events_default PARTITION OF homing.analytics_events DEFAULT;
SELECT homing.make_partitions('homing.analytics_events', ahead => 6, today => (current_date - interval '3 months')::date);

-- Something that the server sees itself, in the transaction in which it happens. `device` is the device's own name.
CREATE FUNCTION homing.note_event(user_id uuid, event text, properties jsonb, platform text, device text, at timestamptz)
RETURNS void LANGUAGE sql SET search_path = pg_catalog AS $$
    INSERT INTO homing.analytics_events
        (user_id, key, month, device_id, event, properties, platform, os_version, model, app_version, at, said_at, created_at)
    SELECT n.user_id, gen_random_uuid(), date_trunc('month', n.at, 'UTC'), d.id, n.event, n.properties, n.platform,
        nullif(d.os_version, ''), nullif(d.device_type, 'unknown'), nullif(d.app_version, ''), n.at, n.at, greatest(n.at, now())
    FROM (SELECT note_event.user_id, note_event.event, note_event.properties,
                 CASE note_event.platform WHEN 'web' THEN 'web' ELSE 'mobile' END AS platform, note_event.at) n
    LEFT JOIN homing.mobile_devices d ON d.device_id = note_event.device;
$$;

-- How requests went, by the hour and the platform of who asked: what each node measured, added up. `buckets` counts by
-- the bounds of homing/server/metrics.py, the last one what was slower.
CREATE TABLE homing.request_tallies (
    hour timestamptz NOT NULL,
    platform text NOT NULL,
    requests bigint NOT NULL,
    client_errors bigint NOT NULL,
    server_errors bigint NOT NULL,
    seconds double precision NOT NULL,
    buckets bigint[] NOT NULL,
    PRIMARY KEY (hour, platform)
);
