-- The control tables: which tenants there are and where each one's database is. They live in the database that the
-- settings name, beside the default tenant's own tables, and are read by every node.
CREATE SCHEMA homing_control;

CREATE TABLE homing_control.tenants (
    -- Also the audience of its access tokens, a folder of its media, and a part of its database's name.
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$' AND name <> 'default'),
    -- A database on the same server as this one, whose address may change from start to start; or an address.
    database_name text CHECK (database_name <> ''),
    database_url text CHECK (database_url <> ''),
    status text NOT NULL DEFAULT 'creating'
        CHECK (status IN ('creating', 'active', 'suspended', 'moving', 'dropped')),
    reason text,                            -- why it is suspended
    quotas jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quotas) = 'object'),
    schema_version text,                    -- what its migrations had reached when they last ran
    migrated_at timestamptz,
    last_error text,                        -- of the last migration or move, NULL once one succeeded
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(database_name, database_url) = 1)
);

-- Two tenants on one database would be one tenant with two names.
CREATE UNIQUE INDEX tenants_database_name ON homing_control.tenants (database_name) WHERE status <> 'dropped';
CREATE UNIQUE INDEX tenants_database_url ON homing_control.tenants (database_url) WHERE status <> 'dropped';

CREATE TABLE homing_control.hosts (
    host text PRIMARY KEY CHECK (host = lower(host) AND host !~ '[/:\s]' AND host <> ''),
    tenant text NOT NULL REFERENCES homing_control.tenants (name) ON DELETE CASCADE
);
CREATE INDEX hosts_tenant ON homing_control.hosts (tenant);

-- Nodes keep a copy of these tables and read them again when this number has changed: asking costs one row.
CREATE TABLE homing_control.directory (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL DEFAULT 1
);
INSERT INTO homing_control.directory DEFAULT VALUES;

CREATE FUNCTION homing_control.count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE homing_control.directory SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE ON homing_control.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION homing_control.count_change();
CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE ON homing_control.hosts
    FOR EACH STATEMENT EXECUTE FUNCTION homing_control.count_change();

CREATE FUNCTION homing_control.note_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER note_update BEFORE UPDATE ON homing_control.tenants
    FOR EACH ROW EXECUTE FUNCTION homing_control.note_update();
