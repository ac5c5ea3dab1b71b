-- Spec 1's telemetry: one row a batch, `metrics` an array of {name, value, timestamp, meta}; monthly partitions.
CREATE TABLE homing.telemetry (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    device_id uuid NOT NULL REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    metrics jsonb NOT NULL CHECK (jsonb_typeof(metrics) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, created_at)                -- a partitioned table's key must contain its partition key
) PARTITION BY RANGE (created_at);
CREATE INDEX telemetry_device ON homing.telemetry (device_id, created_at DESC);
CREATE INDEX telemetry_names ON homing.telemetry USING gin (jsonb_path_query_array(metrics, '$[*].name'));
CREATE TABLE homing.telemetry_default PARTITION OF homing.telemetry DEFAULT;
SELECT homing.make_partitions('homing.telemetry');
