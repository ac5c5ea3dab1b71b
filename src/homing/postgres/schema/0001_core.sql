-- The core: users, devices, batches and items, conflicts, history, departures. Spec 1 names the columns of its eight
-- tables; what stands below the line "beyond the spec" in a table is what the engine needs besides.
CREATE SCHEMA IF NOT EXISTS homing;

-- Spec 3's trigger function, shared by every table with an updated_at column.
CREATE FUNCTION homing.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END $$;

-- One row: what makes this database this database. An epoch names one unbroken line of transaction ids; a token of
-- another epoch cannot be compared with ours (see homing/engine/epoch.py).
CREATE TABLE homing.epoch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    database_oid oid NOT NULL,
    declared bytea NOT NULL DEFAULT '',     -- digest of the declarations: other scopes or columns are another epoch
    floor xid8 NOT NULL DEFAULT '0',        -- departures before this transaction may have been collected
    reason text NOT NULL DEFAULT 'created',
    since timestamptz NOT NULL DEFAULT now()
);

-- Signing keys, shared by all nodes of this database. The newest of a purpose signs, all of them verify.
CREATE TABLE homing.keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    purpose text NOT NULL CHECK (purpose IN ('access', 'token', 'media')),
    secret bytea NOT NULL CHECK (octet_length(secret) >= 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

CREATE TABLE homing.users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username varchar(255) NOT NULL,
    email varchar(255),
    name varchar(100) NOT NULL,
    role varchar(20) NOT NULL,
    password_hash varchar(255),             -- NULL: this person signs in by enrolment only
    user_type varchar(50) NOT NULL DEFAULT 'web' CONSTRAINT chk_user_type CHECK (user_type IN ('web', 'mobile')),
    device_id varchar(255),
    online_status boolean NOT NULL DEFAULT false,
    last_seen timestamptz,
    enrolled_at timestamptz,
    is_active boolean NOT NULL DEFAULT true,
    last_login_at timestamptz,
    last_platform varchar(20),
    device_tokens jsonb NOT NULL DEFAULT '[]',
    mobile_preferences jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_username_key ON homing.users (lower(username));
CREATE UNIQUE INDEX users_email_key ON homing.users (lower(email));
CREATE INDEX idx_users_user_type ON homing.users (user_type);
CREATE INDEX idx_users_device_id ON homing.users (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX idx_users_role ON homing.users (role) WHERE is_active;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON homing.users
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

CREATE TYPE homing.device_status AS ENUM ('active', 'suspended', 'revoked');

CREATE TABLE homing.mobile_devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_id text NOT NULL CONSTRAINT mobile_devices_device_id_key UNIQUE CHECK (device_id <> ''),
    user_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    device_type text NOT NULL DEFAULT 'unknown',
    os_version text NOT NULL DEFAULT '',
    app_version text NOT NULL DEFAULT '',
    push_token text,
    status homing.device_status NOT NULL DEFAULT 'active',
    trust_score double precision NOT NULL DEFAULT 1 CHECK (trust_score BETWEEN 0 AND 1),
    metadata jsonb NOT NULL DEFAULT '{}',
    last_seen timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    trust_reasons jsonb NOT NULL DEFAULT '[]',  -- [{reason, weight, at}], what trust_score was computed from
    status_reason text,
    clock_offset interval                       -- server clock minus device clock, as last measured
);
CREATE INDEX mobile_devices_user ON homing.mobile_devices (user_id);
CREATE INDEX mobile_devices_status ON homing.mobile_devices (status, last_seen DESC);
CREATE TRIGGER update_mobile_devices_updated_at BEFORE UPDATE ON homing.mobile_devices
    FOR EACH ROW WHEN (OLD.last_seen IS NOT DISTINCT FROM NEW.last_seen)  -- being seen is not being changed
    EXECUTE FUNCTION homing.update_updated_at_column();

-- A family of refresh tokens: one login on one device. Revoking the family ends its access tokens too, because every
-- call looks here. `current_hash` is the newest token; `previous_*` stays usable until the newest is first used, so
-- that a lost answer does not sign anybody out.
CREATE TABLE homing.sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    device_id text,
    platform varchar(20) NOT NULL DEFAULT 'web',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    revoked_reason text
);
CREATE INDEX sessions_user ON homing.sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_device ON homing.sessions (device_id) WHERE revoked_at IS NULL AND device_id IS NOT NULL;

CREATE TABLE homing.refresh_tokens (
    token_hash bytea PRIMARY KEY,               -- SHA-256; the token itself is shown once and never stored
    session_id uuid NOT NULL REFERENCES homing.sessions (id) ON DELETE CASCADE,
    parent_hash bytea,
    issued_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,                        -- when this token was first redeemed
    spent_at timestamptz                        -- when its successor was first used: from then on, re-use is theft
);
CREATE INDEX refresh_tokens_session ON homing.refresh_tokens (session_id);

CREATE TYPE homing.batch_status AS ENUM ('received', 'processing', 'completed', 'failed');
CREATE TYPE homing.item_action AS ENUM ('create', 'update', 'delete');
CREATE TYPE homing.item_status AS ENUM ('pending', 'ok', 'conflict', 'error');

CREATE TABLE homing.sync_batches (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    batch_token text NOT NULL CONSTRAINT sync_batches_batch_token_key UNIQUE,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,  -- NULL: a web client's
    client_sync_token text,
    server_sync_token text,
    status homing.batch_status NOT NULL DEFAULT 'received',
    items_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    -- beyond the spec
    user_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    body_hash bytea NOT NULL,                   -- of the canonical body: the same token with another body is refused
    atomic boolean NOT NULL DEFAULT false,
    held_reason text                            -- set while the batch waits for review because of low trust
);
CREATE INDEX sync_batches_device ON homing.sync_batches (device_id, created_at DESC);
CREATE INDEX sync_batches_created ON homing.sync_batches (created_at DESC, id);

CREATE TABLE homing.sync_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    batch_id uuid NOT NULL REFERENCES homing.sync_batches (id) ON DELETE CASCADE,
    client_temp_id text,
    resource_type text NOT NULL,
    action homing.item_action NOT NULL,
    payload jsonb NOT NULL,
    client_version integer,
    server_version integer,
    status homing.item_status NOT NULL DEFAULT 'pending',
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    position integer NOT NULL,                  -- index of the item in its batch
    device_id uuid,                             -- the batch's, here for the idempotency key
    row_id text,                                -- the row the item made or changed
    code text,                                  -- error catalogue
    merged boolean NOT NULL DEFAULT false,
    conflict_id uuid,
    base jsonb,                                 -- what the edit was based on, where it is not client_version
    details jsonb,                              -- what else it was answered: {path, server_payload}
    again boolean NOT NULL DEFAULT false,       -- its verdict is that of another item with the same key
    edited_at timestamptz,                      -- time of edit, corrected for the device's clock and clamped
    quarantined_at timestamptz,                 -- refused and not yet repaired or discarded
    discarded_at timestamptz,
    discarded_by uuid,
    discard_reason text
);
CREATE INDEX sync_items_batch_status ON homing.sync_items (batch_id, status);
-- The idempotency key of one item. Only verdicts that bind are in it: a refused item may be sent again.
CREATE UNIQUE INDEX sync_items_key ON homing.sync_items (device_id, client_temp_id, action, client_version)
    WHERE client_temp_id IS NOT NULL AND status <> 'error' AND NOT again;
CREATE INDEX sync_items_quarantine ON homing.sync_items (quarantined_at DESC, id)
    WHERE quarantined_at IS NOT NULL AND discarded_at IS NULL;

CREATE TYPE homing.conflict_resolution AS ENUM ('pending', 'resolved');
CREATE TYPE homing.resolution_action AS ENUM ('accept_server', 'accept_client', 'merged');

CREATE TABLE homing.conflicts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    resource_type text NOT NULL,
    resource_id uuid,                           -- NULL where the row's key is not a uuid; row_id always holds it
    server_payload jsonb NOT NULL,
    client_payload jsonb NOT NULL,
    resolution homing.conflict_resolution NOT NULL DEFAULT 'pending',
    resolution_action homing.resolution_action,
    resolved_by uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    resolved_at timestamptz,
    notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    row_id text NOT NULL,
    base_payload jsonb,                         -- the row as the device last saw it; NULL where history no longer says
    base_version integer,
    server_version integer NOT NULL,
    fields text[] NOT NULL,                     -- the fields both sides changed
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE SET NULL,
    user_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    batch_id uuid,
    policy jsonb,                               -- field -> policy, for what was decided without a person
    action homing.item_action NOT NULL DEFAULT 'update',    -- what the device wanted
    code text NOT NULL DEFAULT 'version_conflict',
    resolved_payload jsonb,
    resolved_version integer
);
CREATE INDEX conflicts_pending ON homing.conflicts (resolution, created_at DESC, id);
CREATE INDEX conflicts_row ON homing.conflicts (resource_type, row_id, created_at DESC);
-- A device that repeats an edit that waits for a decision gets the conflict it already has.
CREATE UNIQUE INDEX conflicts_same_edit ON homing.conflicts
    (resource_type, row_id, coalesce(device_id, '00000000-0000-0000-0000-000000000000'), coalesce(base_version, -1),
     md5(client_payload::text)) WHERE resolution = 'pending';

-- Who changed what, kept by triggers for every writer. A create stores no values: the first value of a field is the
-- old value of its first change, or the row's. A delete stores the whole row as old values.
CREATE TABLE homing.history (
    table_id integer NOT NULL,
    row_id text NOT NULL,
    version integer NOT NULL,
    action homing.item_action NOT NULL,
    changes jsonb,                              -- {field: [old, new]}; on delete {field: [old]}
    actor text NOT NULL,                        -- user id, or 'outside'
    device_id uuid,
    batch_id uuid,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (at);
CREATE INDEX history_row ON homing.history (table_id, row_id, version);
CREATE TABLE homing.history_default PARTITION OF homing.history DEFAULT;

CREATE TABLE homing.departures (
    scope text NOT NULL,
    table_id integer NOT NULL,
    row_id text NOT NULL,
    xid xid8 NOT NULL,
    PRIMARY KEY (scope, table_id, row_id)
);
CREATE INDEX departures_scope ON homing.departures (scope, xid, table_id, row_id);
-- For many scopes and few removals. Partial, though every row is in it, so that only the query that says so uses it: a
-- query by scope must not be planned to walk over everybody's removals while the table is small.
CREATE INDEX departures_xid ON homing.departures (xid, table_id, row_id) WHERE length(row_id) >= 0;

-- Synced tables: a small number for each, stable for ever, used by triggers, history and departures.
CREATE TABLE homing.synced_tables (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,                  -- schema.table
    triggers bytea NOT NULL DEFAULT '',         -- digest of the triggers installed
    attached_at timestamptz NOT NULL DEFAULT now()
);

-- Scope sets by content. A token names the scopes it was made for by this digest.
CREATE TABLE homing.scope_sets (
    digest bytea PRIMARY KEY,
    scopes text[] NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);

-- What each device has stored for good, as it said so. Compared by the snapshot in the token; never moves backwards.
CREATE TABLE homing.cursors (
    device_id uuid PRIMARY KEY REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    snapshot pg_snapshot NOT NULL,
    epoch uuid NOT NULL,
    delivered bigint NOT NULL,
    acked_at timestamptz NOT NULL DEFAULT now()
);

-- Spec 3's table, kept for every device.
CREATE TABLE homing.sync_metadata (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    device_id varchar(255) NOT NULL UNIQUE,
    last_sync_timestamp timestamptz,
    pending_outgoing_count integer NOT NULL DEFAULT 0,
    sync_status varchar(50) NOT NULL DEFAULT 'idle'
        CONSTRAINT chk_sync_status CHECK (sync_status IN ('idle', 'syncing', 'error')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_sync_metadata_device ON homing.sync_metadata (device_id);
CREATE INDEX idx_sync_metadata_status ON homing.sync_metadata (sync_status);
CREATE TRIGGER update_sync_metadata_updated_at BEFORE UPDATE ON homing.sync_metadata
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- Monthly partitions of a table partitioned by a timestamptz, from this month to `ahead` months on. Safe to call from
-- two nodes at once and at any time.
CREATE FUNCTION homing.make_partitions(parent regclass, ahead integer DEFAULT 3, today date DEFAULT current_date)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month date := date_trunc('month', today)::date;
    made integer := 0;
    part text;
    nsp text;
    rel text;
BEGIN
    SELECT n.nspname, c.relname INTO nsp, rel FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = parent;
    PERFORM pg_advisory_xact_lock(hashtextextended('homing partitions ' || parent::text, 0));
    FOR i IN 0..ahead LOOP
        part := format('%s_%s', rel, to_char(month, 'YYYYMM'));
        IF to_regclass(format('%I.%I', nsp, part)) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                    nsp, part, parent, month::timestamp AT TIME ZONE 'UTC',
                    (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                NULL;  -- nobody made it in time and the default partition holds rows of this month: they stay there
            END;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$;

-- Old and new value of each field that differs, as stored in history.
CREATE FUNCTION homing.changed_fields(old jsonb, new jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT jsonb_object_agg(n.key, jsonb_build_array(old -> n.key, n.value))
        FROM jsonb_each(new) n WHERE n.value IS DISTINCT FROM old -> n.key);

-- Ends a statement that found a row which did not become what was planned: the whole batch is then done again, item by
-- item (homing/engine/fast.py).
CREATE FUNCTION homing.stop() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row did not become what was planned' USING ERRCODE = 'HM001';
END $$;

-- Spec 1 asks for the history of sync_items: what replays and repairs did to them.
CREATE TABLE homing.sync_item_history (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    item_id uuid NOT NULL REFERENCES homing.sync_items (id) ON DELETE CASCADE,
    changes jsonb NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sync_item_history_item ON homing.sync_item_history (item_id, at);
CREATE FUNCTION homing.keep_sync_item_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    INSERT INTO homing.sync_item_history (item_id, changes, actor)
    VALUES (NEW.id, homing.changed_fields(to_jsonb(OLD), to_jsonb(NEW)),
            coalesce(nullif(current_setting('homing.actor', true), ''), 'outside'));
    RETURN NEW;
END $$;
CREATE TRIGGER sync_items_history BEFORE UPDATE ON homing.sync_items
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION homing.keep_sync_item_history();

SELECT homing.make_partitions('homing.history');

-- When each horizon was reached: how "older than 90 days" becomes a transaction id.
CREATE TABLE homing.instants (
    at timestamptz PRIMARY KEY DEFAULT now(),
    horizon xid8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot())
);
