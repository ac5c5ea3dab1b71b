-- Field data collection: spec 1's mobile_forms, submissions and submission_media, spec 2's meters, and the teams that
-- decide who holds what. The engine adds its stamp columns and triggers to the synced tables when it is bound.
CREATE SCHEMA fieldwork;

CREATE TABLE fieldwork.teams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX teams_name_key ON fieldwork.teams (lower(name));
CREATE INDEX teams_created ON fieldwork.teams (created_at DESC, id DESC);
CREATE TRIGGER update_teams_updated_at BEFORE UPDATE ON fieldwork.teams
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

CREATE TABLE fieldwork.team_members (
    team_id uuid NOT NULL REFERENCES fieldwork.teams (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user ON fieldwork.team_members (user_id, team_id);

CREATE TABLE fieldwork.mobile_forms (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Never like an id: wherever a form is named, either will do.
    code text NOT NULL CONSTRAINT mobile_forms_code_key UNIQUE
        CHECK (code ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' AND code !~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$'),
    name text NOT NULL CHECK (name <> ''),
    schema jsonb,                               -- as published; NULL until it was
    version text,                               -- of `schema`
    published boolean NOT NULL DEFAULT false,   -- false again: withdrawn, no device offers it any more
    draft boolean NOT NULL DEFAULT true,        -- draft_schema differs from what is published
    created_by uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    draft_schema jsonb,                         -- what the office is working on; never travels
    CHECK (NOT published OR (schema IS NOT NULL AND version IS NOT NULL)),
    CHECK (draft = (draft_schema IS NOT NULL))
);
CREATE INDEX mobile_forms_created ON fieldwork.mobile_forms (created_at DESC, id DESC);
CREATE TRIGGER update_mobile_forms_updated_at BEFORE UPDATE ON fieldwork.mobile_forms
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- Every schema ever published. A submission is judged by the version it was filled in with, however old.
CREATE TABLE fieldwork.form_versions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    form_id uuid NOT NULL REFERENCES fieldwork.mobile_forms (id) ON DELETE RESTRICT,
    form_version text NOT NULL CHECK (form_version <> ''),
    schema jsonb NOT NULL CHECK (jsonb_typeof(schema) = 'object'),
    published_at timestamptz NOT NULL DEFAULT now(),
    published_by uuid REFERENCES homing.users (id),
    CONSTRAINT form_versions_version_key UNIQUE (form_id, form_version)
);
CREATE INDEX form_versions_published ON fieldwork.form_versions (form_id, published_at DESC, id DESC);

CREATE FUNCTION fieldwork.keep_form_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published form version is kept for ever, unchanged: publish another version instead'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER form_versions_kept BEFORE DELETE ON fieldwork.form_versions
    FOR EACH ROW EXECUTE FUNCTION fieldwork.keep_form_version();
CREATE TRIGGER form_versions_unchanged BEFORE UPDATE OF id, form_id, form_version, schema, published_at, published_by
    ON fieldwork.form_versions FOR EACH ROW EXECUTE FUNCTION fieldwork.keep_form_version();
CREATE TRIGGER form_versions_not_emptied BEFORE TRUNCATE ON fieldwork.form_versions
    FOR EACH STATEMENT EXECUTE FUNCTION fieldwork.keep_form_version();

CREATE TYPE fieldwork.submission_status AS ENUM ('pending', 'approved', 'rejected');

CREATE TABLE fieldwork.submissions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    form_id uuid NOT NULL,
    form_version text NOT NULL,
    data jsonb NOT NULL,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE SET NULL,    -- NULL: sent from the web
    status fieldwork.submission_status NOT NULL DEFAULT 'pending',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    reviewed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    team_id uuid REFERENCES fieldwork.teams (id) ON DELETE SET NULL,
    author_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    reviewed_by uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    review_notes text,
    -- Not to mobile_forms: a form that was withdrawn is out of every device's sight, and what was filled in with it
    -- before that still arrives. Its versions stay.
    CONSTRAINT submissions_form_version_fkey FOREIGN KEY (form_id, form_version)
        REFERENCES fieldwork.form_versions (form_id, form_version)
);
-- One index a filter, each in the order in which lists are read (newest first, by keyset).
CREATE INDEX submissions_created ON fieldwork.submissions (created_at DESC, id DESC);
CREATE INDEX submissions_form ON fieldwork.submissions (form_id, created_at DESC, id DESC);
CREATE INDEX submissions_device ON fieldwork.submissions (device_id, created_at DESC, id DESC);
CREATE INDEX submissions_status ON fieldwork.submissions (status, created_at DESC, id DESC);
CREATE INDEX submissions_team ON fieldwork.submissions (team_id, created_at DESC, id DESC);
CREATE INDEX submissions_author ON fieldwork.submissions (author_id, created_at DESC, id DESC);
CREATE TRIGGER update_submissions_updated_at BEFORE UPDATE ON fieldwork.submissions
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- Who reviewed it and when follows from the status, whoever writes it: the API, a push of the office's own device, psql.
CREATE FUNCTION fieldwork.note_review() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor text := current_setting('homing.actor', true);
BEGIN
    IF NEW.status = 'pending' THEN
        NEW.reviewed_at = NULL;
        NEW.reviewed_by = NULL;
    ELSE
        NEW.reviewed_at = now();
        NEW.reviewed_by = CASE WHEN actor ~ '^[0-9a-f-]{36}$' THEN actor::uuid END;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note_review_insert BEFORE INSERT ON fieldwork.submissions
    FOR EACH ROW WHEN (NEW.status <> 'pending') EXECUTE FUNCTION fieldwork.note_review();
CREATE TRIGGER note_review_update BEFORE UPDATE ON fieldwork.submissions
    FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION fieldwork.note_review();

CREATE TABLE fieldwork.submission_media (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    submission_id uuid NOT NULL REFERENCES fieldwork.submissions (id) ON DELETE CASCADE,
    key text NOT NULL REFERENCES homing.media (key),
    filename text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    captured_at timestamptz,
    uploaded_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec: its submission's, because a scope is an expression over the row's own columns
    team_id uuid,
    author_id uuid,
    CONSTRAINT submission_media_key UNIQUE (submission_id, key)
);
CREATE INDEX submission_media_file ON fieldwork.submission_media (key);
CREATE TRIGGER refer_to_media AFTER INSERT ON fieldwork.submission_media REFERENCING NEW TABLE AS named
    FOR EACH STATEMENT EXECUTE FUNCTION homing.refer_to_media();
CREATE TRIGGER release_media AFTER DELETE ON fieldwork.submission_media REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION homing.release_media();

-- The share lock closes the gap between reading the submission's team here and an update of it that has not committed:
-- whichever comes second sees the first.
CREATE FUNCTION fieldwork.place_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.team_id, s.author_id INTO NEW.team_id, NEW.author_id
    FROM fieldwork.submissions s WHERE s.id = NEW.submission_id FOR SHARE;
    RETURN NEW;
END $$;
CREATE TRIGGER place_media BEFORE INSERT OR UPDATE OF submission_id, team_id, author_id ON fieldwork.submission_media
    FOR EACH ROW EXECUTE FUNCTION fieldwork.place_media();
CREATE FUNCTION fieldwork.move_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE fieldwork.submission_media SET team_id = NEW.team_id, author_id = NEW.author_id WHERE submission_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER move_media AFTER UPDATE OF team_id, author_id ON fieldwork.submissions
    FOR EACH ROW WHEN (OLD.team_id IS DISTINCT FROM NEW.team_id OR OLD.author_id IS DISTINCT FROM NEW.author_id)
    EXECUTE FUNCTION fieldwork.move_media();

-- Where something is: geography(Point) where PostGIS is installed or can be, as spec 1 asks, otherwise PostgreSQL's own
-- point (x = longitude, y = latitude). All other SQL goes through the functions made here and does not know which.
-- They are one-expression SQL functions because the planner must inline them: only then does gps_within() use an index.
DO $gps$
DECLARE
    postgis name;
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis') THEN
        BEGIN
            CREATE EXTENSION IF NOT EXISTS postgis SCHEMA public;
        EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
            RAISE NOTICE 'PostGIS is there but this user cannot install it (%); gps columns become point', SQLERRM;
        END;
    END IF;
    SELECT n.nspname INTO postgis FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'postgis';
    IF postgis IS NULL THEN
        ALTER TABLE fieldwork.submission_media ADD COLUMN gps point
            CHECK (gps[0] BETWEEN -180 AND 180 AND gps[1] BETWEEN -90 AND 90);
        CREATE FUNCTION fieldwork.gps_from(lat double precision, lon double precision) RETURNS point
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN point(lon, lat);
        CREATE FUNCTION fieldwork.gps_lat(gps point) RETURNS double precision
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN gps[1];
        CREATE FUNCTION fieldwork.gps_lon(gps point) RETURNS double precision
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN gps[0];
        CREATE FUNCTION fieldwork.gps_within(gps point, west double precision, south double precision,
                                             east double precision, north double precision) RETURNS boolean
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN gps <@ box(point(west, south), point(east, north));
    ELSE
        -- A map's box has edges along parallels, a geography's has great circles: so the box is asked of the geometry,
        -- which has an index of its own, and the exact coordinates once more, because that index is single precision.
        EXECUTE format($sql$
            ALTER TABLE fieldwork.submission_media ADD COLUMN gps %1$I.geography(Point, 4326);
            CREATE FUNCTION fieldwork.gps_from(lat double precision, lon double precision) RETURNS %1$I.geography
                LANGUAGE sql IMMUTABLE PARALLEL SAFE
                RETURN %1$I.geography(%1$I.st_setsrid(%1$I.st_makepoint(lon, lat), 4326));
            CREATE FUNCTION fieldwork.gps_lat(gps %1$I.geography) RETURNS double precision
                LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %1$I.st_y(%1$I.geometry(gps));
            CREATE FUNCTION fieldwork.gps_lon(gps %1$I.geography) RETURNS double precision
                LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %1$I.st_x(%1$I.geometry(gps));
            CREATE FUNCTION fieldwork.gps_within(gps %1$I.geography, west double precision, south double precision,
                                                 east double precision, north double precision) RETURNS boolean
                LANGUAGE sql IMMUTABLE PARALLEL SAFE
                RETURN %1$I.geometry(gps) OPERATOR(%1$I.&&) %1$I.st_makeenvelope(west, south, east, north, 4326)
                   AND %1$I.st_x(%1$I.geometry(gps)) BETWEEN west AND east
                   AND %1$I.st_y(%1$I.geometry(gps)) BETWEEN south AND north;
            CREATE INDEX submission_media_box ON fieldwork.submission_media USING gist (%1$I.geometry(gps));
        $sql$, postgis);
    END IF;
    CREATE INDEX submission_media_gps ON fieldwork.submission_media USING gist (gps);

    -- A submission says where it was made in its metadata, {"gps": {"lat": 1.2, "lon": 3.4}}; this column makes the map
    -- find it. Anything else there means no place, never an error: metadata is the client's. Rounding to a tenth of a
    -- millimetre keeps numbers like 1e-400 from overflowing the cast.
    EXECUTE format($sql$
        ALTER TABLE fieldwork.submissions ADD COLUMN place %s GENERATED ALWAYS AS (
            CASE WHEN jsonb_typeof(metadata #> '{gps,lat}') = 'number' AND jsonb_typeof(metadata #> '{gps,lon}') = 'number'
                 THEN CASE WHEN (metadata #> '{gps,lat}')::numeric BETWEEN -90 AND 90
                            AND (metadata #> '{gps,lon}')::numeric BETWEEN -180 AND 180
                           THEN fieldwork.gps_from(round((metadata #> '{gps,lat}')::numeric, 9)::double precision,
                                                   round((metadata #> '{gps,lon}')::numeric, 9)::double precision)
                 END END) STORED
    $sql$, CASE WHEN postgis IS NULL THEN 'point' ELSE format('%I.geography(Point, 4326)', postgis) END);
    CREATE INDEX submissions_place ON fieldwork.submissions USING gist (place);
    IF postgis IS NOT NULL THEN
        EXECUTE format('CREATE INDEX submissions_box ON fieldwork.submissions USING gist (%I.geometry(place))', postgis);
    END IF;
END $gps$;

-- Submissions with a place, or a photo, inside a map's box. A box whose west is east of its east crosses the date line.
CREATE FUNCTION fieldwork.submissions_within(west double precision, south double precision,
                                             east double precision, north double precision)
RETURNS SETOF uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT s.id FROM fieldwork.submissions s
    WHERE fieldwork.gps_within(s.place, west, south, CASE WHEN west <= east THEN east ELSE 180 END, north)
    UNION
    SELECT m.submission_id FROM fieldwork.submission_media m
    WHERE fieldwork.gps_within(m.gps, west, south, CASE WHEN west <= east THEN east ELSE 180 END, north)
    UNION
    SELECT s.id FROM fieldwork.submissions s
    WHERE west > east AND fieldwork.gps_within(s.place, -180, south, east, north)
    UNION
    SELECT m.submission_id FROM fieldwork.submission_media m
    WHERE west > east AND fieldwork.gps_within(m.gps, -180, south, east, north)
$$;

CREATE TABLE fieldwork.meters (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code text NOT NULL CONSTRAINT meters_code_key UNIQUE CHECK (code <> ''),
    name text NOT NULL DEFAULT '',
    site text,
    unit text NOT NULL DEFAULT '',
    reading double precision CHECK (reading NOT IN ('NaN', 'Infinity', '-Infinity')),   -- JSON has no such numbers
    read_at timestamptz,
    last_updated_by text NOT NULL DEFAULT 'sys',    -- a user's id; 'sys' for writers who did not say
    team_id uuid REFERENCES fieldwork.teams (id) ON DELETE SET NULL,
    notes text,
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX meters_created ON fieldwork.meters (created_at DESC, id DESC);
CREATE INDEX meters_team ON fieldwork.meters (team_id, created_at DESC, id DESC);
CREATE TRIGGER update_meters_updated_at BEFORE UPDATE ON fieldwork.meters
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();
CREATE FUNCTION fieldwork.note_updater() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_updated_by = coalesce(nullif(current_setting('homing.actor', true), ''), 'sys');
    RETURN NEW;
END $$;
CREATE TRIGGER note_updater BEFORE INSERT OR UPDATE ON fieldwork.meters
    FOR EACH ROW EXECUTE FUNCTION fieldwork.note_updater();
