-- Spec 1's telemetry: one row a batch, `metrics` an array of {name, value, timestamp, meta}; monthly partitions.
CREATE TABLE homing.telemetry (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    device_id uuid NOT NULL REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    metrics jsonb NOT NULL CHECK (jsonb_typeof(metrics) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- A partitioned table's key must contain its partition key. The device is in it because ids are the devices' own
    -- choice: two of them choosing the same is nobody's business.
    PRIMARY KEY (id, created_at, device_id)
) PARTITION BY RANGE (created_at);
CREATE INDEX telemetry_device ON homing.telemetry (device_id, created_at DESC);
CREATE TABLE homing.telemetry_default PARTITION OF homing.telemetry DEFAULT;

-- The idempotency keys of the batches. The key above cannot be one, because it contains the time of arrival, and a
-- unique constraint of a partitioned table must. Kept as long as the batches are.
CREATE TABLE homing.telemetry_batches (
    device_id uuid NOT NULL REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (device_id, id)
);
CREATE INDEX telemetry_batches_created ON homing.telemetry_batches (created_at);

-- The batches' metrics, one row each, in the order people ask for them. `at` is when it was measured, as the device
-- said, but never later than its arrival: a device whose clock is ahead cannot hold the top of every list for years, and
-- "measured since T" implies "arrived since T", which is what lets a query skip the months before T.
CREATE SEQUENCE homing.telemetry_metrics_number AS bigint;
CREATE TABLE homing.telemetry_metrics (
    number bigint NOT NULL DEFAULT nextval('homing.telemetry_metrics_number'),  -- total order where times are equal
    device_id uuid NOT NULL REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (name <> ''),
    value jsonb NOT NULL,
    meta jsonb,
    at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK (at <= created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX telemetry_metrics_at ON homing.telemetry_metrics (at DESC, number DESC);
CREATE INDEX telemetry_metrics_name ON homing.telemetry_metrics (name, at DESC, number DESC);
CREATE INDEX telemetry_metrics_device ON homing.telemetry_metrics (device_id, at DESC, number DESC);
CREATE TABLE homing.telemetry_metrics_default PARTITION OF homing.telemetry_metrics DEFAULT;

-- Drop the monthly partitions of `parent`, as make_partitions() named them, that hold nothing from `before` on; their
-- number. Each drop locks the parent for an instant; lock_timeout bounds the wait for it.
CREATE FUNCTION homing.drop_partitions(parent regclass, before timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('homing partitions ' || parent::text, 0));
    FOR part IN
        SELECT c.oid::regclass AS name, to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent AND c.relname ~ '_[0-9]{6}$'
    LOOP
        IF part.ends AT TIME ZONE 'UTC' <= before THEN
            EXECUTE format('DROP TABLE %s', part.name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;

SELECT homing.make_partitions('homing.telemetry');
SELECT homing.make_partitions('homing.telemetry_metrics');
