-- The contractor CRM: spec 5's tables, over the core's one homing.users. Times and flags are NOT NULL where the spec
-- gives them a default. What stands below "beyond the spec" in a table is not in it. The engine adds its stamp columns
-- and triggers to the synced tables when it is bound.
CREATE SCHEMA crm;

-- The spec's users and refresh tokens are the core's; these views have its names and columns, so that its queries run
-- as written. Of a token only the hash is stored.
CREATE VIEW crm.users WITH (security_invoker = true) AS
SELECT id, email, password_hash, name, role, is_active, last_login_at, created_at, updated_at FROM homing.users;
CREATE VIEW crm.refresh_tokens WITH (security_invoker = true) AS
SELECT md5(t.token_hash)::uuid AS id, encode(t.token_hash, 'hex')::varchar(255) AS token, s.user_id, s.expires_at,
       t.issued_at AS created_at
FROM homing.refresh_tokens t JOIN homing.sessions s ON s.id = t.session_id;

CREATE FUNCTION crm.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END $$;

-- Whom a change is put down to: the actor of the transaction; for writers that name none (psql, somebody's script) an
-- account that nobody can sign in to, made when it is first needed. It is better than a guess at a person (ADR 46).
CREATE FUNCTION crm.acting_user() RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    outside constant uuid := '00000000-0000-4000-8000-00000000c0de';
    actor uuid := homing.current_user_id();
BEGIN
    IF actor IS NOT NULL AND EXISTS (SELECT FROM homing.users WHERE id = actor) THEN
        RETURN actor;
    END IF;
    INSERT INTO homing.users (id, username, name, role, is_active)
    SELECT outside, 'outside (no actor)', 'Outside', 'OUTSIDE', false
    WHERE NOT EXISTS (SELECT FROM homing.users WHERE id = outside)
    ON CONFLICT DO NOTHING;
    RETURN outside;
END $$;

CREATE TABLE crm.customers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    phone varchar(20),
    email varchar(255),
    address text NOT NULL,
    notes text,
    is_archived boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_customers_name ON crm.customers (name);
CREATE INDEX idx_customers_phone ON crm.customers (phone) WHERE phone IS NOT NULL;
CREATE INDEX idx_customers_address_gin ON crm.customers USING gin (to_tsvector('english', address));
CREATE INDEX idx_customers_active ON crm.customers (is_archived, updated_at DESC);
-- Beyond the spec: what its search query asks for (name and address in one vector, and phones by prefix), so that both
-- sides of its OR are found along an index.
CREATE INDEX customers_words ON crm.customers
    USING gin (to_tsvector('english', name || ' ' || COALESCE(address, '')));
CREATE INDEX customers_phone_prefix ON crm.customers (lower(phone::text) text_pattern_ops);
CREATE INDEX customers_listed ON crm.customers (updated_at DESC, id DESC);
CREATE TRIGGER update_customers_updated_at BEFORE UPDATE ON crm.customers
    FOR EACH ROW EXECUTE FUNCTION crm.update_updated_at_column();

-- How a job may go. homing/apps/crm/rules.py says the same to replicas; a test compares the two.
CREATE TABLE crm.status_transitions (
    from_status varchar(30) NOT NULL,
    to_status varchar(30) NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO crm.status_transitions (from_status, to_status) VALUES
    ('NOT_STARTED', 'IN_PROGRESS'), ('NOT_STARTED', 'WAITING_ON_MATERIALS'), ('NOT_STARTED', 'ON_HOLD'),
    ('IN_PROGRESS', 'WAITING_ON_MATERIALS'), ('IN_PROGRESS', 'ON_HOLD'), ('IN_PROGRESS', 'COMPLETED'),
    ('WAITING_ON_MATERIALS', 'IN_PROGRESS'), ('WAITING_ON_MATERIALS', 'ON_HOLD'),
    ('ON_HOLD', 'NOT_STARTED'), ('ON_HOLD', 'IN_PROGRESS'), ('ON_HOLD', 'WAITING_ON_MATERIALS'),
    ('COMPLETED', 'IN_PROGRESS');

CREATE TABLE crm.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title varchar(255) NOT NULL,
    description text,
    customer_id uuid NOT NULL REFERENCES crm.customers (id),
    status varchar(30) NOT NULL DEFAULT 'NOT_STARTED',
    start_date date,
    end_date date,
    notes text,
    created_by_id uuid NOT NULL REFERENCES homing.users (id),
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- beyond the spec: what its track_job_status_change reads
    updated_by_id uuid NOT NULL REFERENCES homing.users (id),
    CONSTRAINT check_job_status CHECK (
        status IN ('NOT_STARTED', 'IN_PROGRESS', 'WAITING_ON_MATERIALS', 'COMPLETED', 'ON_HOLD')
    ),
    CONSTRAINT check_job_dates CHECK (start_date IS NULL OR end_date IS NULL OR start_date <= end_date)
);
CREATE INDEX idx_jobs_customer ON crm.jobs (customer_id);
CREATE INDEX idx_jobs_status ON crm.jobs (status) WHERE status != 'COMPLETED';
CREATE INDEX idx_jobs_created_by ON crm.jobs (created_by_id);
CREATE INDEX idx_jobs_dates ON crm.jobs (start_date, end_date) WHERE status = 'IN_PROGRESS';
CREATE INDEX idx_jobs_updated ON crm.jobs (updated_at DESC);
-- Beyond the spec: its owner's dashboard in its own order, and the list by state in the same.
CREATE INDEX jobs_dashboard ON crm.jobs (updated_at DESC, id DESC) WHERE status != 'COMPLETED';
CREATE INDEX jobs_of_status ON crm.jobs (status, updated_at DESC, id DESC);
-- And its worker's: of a worker of many years, nearly all jobs are completed, and are not even looked at.
CREATE INDEX jobs_to_do ON crm.jobs (id) INCLUDE (start_date, created_at) WHERE status IN ('NOT_STARTED', 'IN_PROGRESS');
CREATE TRIGGER update_jobs_updated_at BEFORE UPDATE ON crm.jobs
    FOR EACH ROW EXECUTE FUNCTION crm.update_updated_at_column();

-- A writer without an actor may name the person itself; whoever has an actor cannot name somebody else.
CREATE FUNCTION crm.keep_updated_by() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF homing.current_user_id() IS NULL AND NEW.updated_by_id IS NOT NULL
        AND (TG_OP = 'INSERT' OR NEW.updated_by_id IS DISTINCT FROM OLD.updated_by_id) THEN
        RETURN NEW;
    END IF;
    NEW.updated_by_id = crm.acting_user();
    RETURN NEW;
END $$;
CREATE TRIGGER keep_updated_by BEFORE INSERT OR UPDATE ON crm.jobs
    FOR EACH ROW EXECUTE FUNCTION crm.keep_updated_by();

CREATE FUNCTION crm.check_status_transition() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.status_transitions t
                   WHERE t.from_status = OLD.status AND t.to_status = NEW.status) THEN
        RAISE EXCEPTION 'a job that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'job_status_transition', TABLE = 'jobs', SCHEMA = 'crm',
                  COLUMN = 'status';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_status_transition BEFORE UPDATE OF status ON crm.jobs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION crm.check_status_transition();

CREATE TABLE crm.job_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES crm.jobs (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES homing.users (id),
    assigned_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT unique_job_user_assignment UNIQUE (job_id, user_id)
);
CREATE INDEX idx_assignments_job ON crm.job_assignments (job_id);
CREATE INDEX idx_assignments_user ON crm.job_assignments (user_id);
CREATE INDEX idx_assignments_date ON crm.job_assignments (assigned_at DESC);

CREATE TABLE crm.materials (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES crm.jobs (id) ON DELETE CASCADE,
    item_name varchar(255) NOT NULL,
    quantity numeric(10, 2) NOT NULL DEFAULT 1,
    unit varchar(20) NOT NULL DEFAULT 'each',
    purchased boolean NOT NULL DEFAULT false,
    notes text,
    added_by_id uuid NOT NULL REFERENCES homing.users (id),
    purchased_by_id uuid REFERENCES homing.users (id),
    purchased_at timestamptz,
    is_deleted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT check_quantity_positive CHECK (quantity > 0),
    CONSTRAINT check_purchase_consistency CHECK (
        (purchased = false AND purchased_by_id IS NULL AND purchased_at IS NULL) OR
        (purchased = true AND purchased_by_id IS NOT NULL AND purchased_at IS NOT NULL)
    )
);
CREATE INDEX idx_materials_job ON crm.materials (job_id) WHERE is_deleted = false;
CREATE INDEX idx_materials_purchased ON crm.materials (job_id, purchased) WHERE is_deleted = false;
CREATE INDEX idx_materials_updated ON crm.materials (updated_at DESC);
-- Beyond the spec: its checklist in its own order; and what a job takes with it when it is deleted.
CREATE INDEX materials_checklist ON crm.materials (job_id, purchased, created_at, id) WHERE is_deleted = false;
CREATE INDEX materials_all_of_job ON crm.materials (job_id);
CREATE TRIGGER update_materials_updated_at BEFORE UPDATE ON crm.materials
    FOR EACH ROW EXECUTE FUNCTION crm.update_updated_at_column();

-- Whoever ticks or unticks says no more than that: who and when follow, unless the writer gave them. Anything else that
-- does not fit together is still refused by check_purchase_consistency.
CREATE FUNCTION crm.keep_purchase() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.purchased THEN
        NEW.purchased_by_id = coalesce(NEW.purchased_by_id, crm.acting_user());
        NEW.purchased_at = coalesce(NEW.purchased_at, CURRENT_TIMESTAMP);
    ELSIF TG_OP = 'UPDATE' AND OLD.purchased AND NEW.purchased_by_id IS NOT DISTINCT FROM OLD.purchased_by_id
        AND NEW.purchased_at IS NOT DISTINCT FROM OLD.purchased_at THEN
        NEW.purchased_by_id = NULL;
        NEW.purchased_at = NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_purchase BEFORE INSERT OR UPDATE ON crm.materials
    FOR EACH ROW EXECUTE FUNCTION crm.keep_purchase();

CREATE TABLE crm.job_status_history (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES crm.jobs (id) ON DELETE CASCADE,
    from_status varchar(30),
    to_status varchar(30) NOT NULL,
    changed_by_id uuid NOT NULL REFERENCES homing.users (id),
    changed_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_status_history_job ON crm.job_status_history (job_id, changed_at DESC);

CREATE FUNCTION crm.track_job_status_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = crm, pg_catalog AS $$
BEGIN
    IF OLD.status IS DISTINCT FROM NEW.status THEN
        INSERT INTO job_status_history (job_id, from_status, to_status, changed_by_id)
        VALUES (NEW.id, OLD.status, NEW.status, NEW.updated_by_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER track_job_status AFTER UPDATE ON crm.jobs
    FOR EACH ROW EXECUTE FUNCTION crm.track_job_status_change();

-- By month, as the spec's partitioning strategy asks; so the key must hold the month too (ADR 45).
CREATE TABLE crm.activity_logs (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    entity_type varchar(50) NOT NULL,
    entity_id uuid NOT NULL,
    action varchar(50) NOT NULL,
    details jsonb,
    user_id uuid NOT NULL REFERENCES homing.users (id),
    job_id uuid REFERENCES crm.jobs (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX idx_activity_entity ON crm.activity_logs (entity_type, entity_id);
CREATE INDEX idx_activity_user ON crm.activity_logs (user_id, created_at DESC);
CREATE INDEX idx_activity_job ON crm.activity_logs (job_id, created_at DESC) WHERE job_id IS NOT NULL;
CREATE INDEX idx_activity_created ON crm.activity_logs (created_at DESC);
-- For rows of a month that nobody made a partition for in time.
CREATE TABLE crm.activity_logs_default PARTITION OF crm.activity_logs DEFAULT;

-- What no statement of the server could finish at once, by state as the spec asks; what is completed also by month, so
-- that it can go by age without touching what still waits.
CREATE TABLE crm.sync_queue (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES homing.users (id),
    operation varchar(20) NOT NULL CHECK (operation IN ('create', 'update', 'delete')),
    entity_type varchar(50) NOT NULL,
    entity_id uuid,
    payload jsonb NOT NULL,
    retry_count integer NOT NULL DEFAULT 0,
    status varchar(20) NOT NULL DEFAULT 'pending' CHECK (
        status IN ('pending', 'processing', 'completed', 'failed')
    ),
    error text,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    processed_at timestamptz,
    PRIMARY KEY (id, status, created_at)
) PARTITION BY LIST (status);
CREATE INDEX idx_sync_queue_user ON crm.sync_queue (user_id, status);
CREATE INDEX idx_sync_queue_status ON crm.sync_queue (status, created_at) WHERE status = 'pending';
CREATE INDEX idx_sync_queue_created ON crm.sync_queue (created_at);
CREATE TABLE crm.sync_queue_pending PARTITION OF crm.sync_queue FOR VALUES IN ('pending');
CREATE TABLE crm.sync_queue_processing PARTITION OF crm.sync_queue FOR VALUES IN ('processing');
CREATE TABLE crm.sync_queue_failed PARTITION OF crm.sync_queue FOR VALUES IN ('failed');
CREATE TABLE crm.sync_queue_completed PARTITION OF crm.sync_queue FOR VALUES IN ('completed')
    PARTITION BY RANGE (created_at);
CREATE TABLE crm.sync_queue_completed_default PARTITION OF crm.sync_queue_completed DEFAULT;

CREATE FUNCTION crm.log_activity(
    p_entity_type varchar,
    p_entity_id uuid,
    p_action varchar,
    p_user_id uuid,
    p_job_id uuid DEFAULT NULL,
    p_details jsonb DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql SET search_path = crm, pg_catalog AS $$
DECLARE
    v_log_id uuid;
BEGIN
    INSERT INTO activity_logs (entity_type, entity_id, action, user_id, job_id, details)
    VALUES (p_entity_type, p_entity_id, p_action, p_user_id, p_job_id, p_details)
    RETURNING id INTO v_log_id;

    RETURN v_log_id;
END $$;

-- The activity of jobs as devices hold it. Not activity_logs itself: a synced row needs a key of one column, and a month
-- that is dropped would stay on every phone, because dropping a table tells nobody which rows went (ADR 45).
CREATE TABLE crm.job_activities (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES crm.jobs (id) ON DELETE CASCADE,
    entity_type varchar(50) NOT NULL,
    entity_id uuid NOT NULL,
    action varchar(50) NOT NULL,
    details jsonb,
    user_id uuid NOT NULL REFERENCES homing.users (id),
    created_at timestamptz NOT NULL
);
CREATE INDEX job_activities_job ON crm.job_activities (job_id, created_at DESC);
CREATE INDEX job_activities_created ON crm.job_activities (created_at);
