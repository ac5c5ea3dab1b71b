-- The marketplace: spec 4's domain, over the core's one homing.users. The spec's `version INTEGER DEFAULT 1` of proposals
-- and profiles is the engine's stamp: bound to these tables it adds a column of exactly that name, type and default, and
-- counts it for every writer (so do all other synced tables here).
CREATE SCHEMA marketplace;

CREATE TYPE marketplace.profile_kind AS ENUM ('freelancer', 'client', 'both');
CREATE TYPE marketplace.budget_kind AS ENUM ('fixed', 'hourly');
CREATE TYPE marketplace.job_status AS ENUM ('draft', 'open', 'in_progress', 'completed', 'cancelled');
CREATE TYPE marketplace.proposal_status AS ENUM ('submitted', 'shortlisted', 'accepted', 'rejected', 'withdrawn');

-- Skills as people search for them: whatever their capitals. Immutable, so that an index can hold it.
CREATE FUNCTION marketplace.folded(skills text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN lower(skills::text)::text[];

CREATE FUNCTION marketplace.are_skills(skills text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN coalesce(array_ndims(skills), 1) <> 1 OR cardinality(skills) > 50 THEN false
            ELSE array_position(skills, NULL) IS NULL AND array_position(skills, '') IS NULL END;

-- Pictures of profiles and jobs: each names a file that was uploaded and verified. Whoever sees the profile or job may
-- fetch them by the image's id, in the size they want (GET /mobile/media/{id}?variant=).
CREATE TABLE marketplace.images (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    key text NOT NULL REFERENCES homing.media (key),
    filename text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT images_file UNIQUE (user_id, key)
);
CREATE INDEX images_key ON marketplace.images (key);
CREATE TRIGGER refer_to_media AFTER INSERT ON marketplace.images REFERENCING NEW TABLE AS named
    FOR EACH STATEMENT EXECUTE FUNCTION homing.refer_to_media();
CREATE TRIGGER release_media AFTER DELETE ON marketplace.images REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION homing.release_media();

-- Money is in cents (the currency's smallest unit), so that nothing is ever rounded.
CREATE TABLE marketplace.profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL UNIQUE REFERENCES homing.users (id) ON DELETE CASCADE,
    kind marketplace.profile_kind NOT NULL DEFAULT 'freelancer',
    name varchar(100) NOT NULL CONSTRAINT profiles_named CHECK (btrim(name) <> ''),
    headline varchar(200),
    bio text NOT NULL DEFAULT '' CONSTRAINT profiles_bio_length CHECK (octet_length(bio) <= 65536),
    skills text[] NOT NULL DEFAULT '{}' CONSTRAINT profiles_skills CHECK (marketplace.are_skills(skills)),
    hourly_rate_cents bigint CONSTRAINT profiles_rate CHECK (hourly_rate_cents BETWEEN 0 AND 100000000),
    currency varchar(3) NOT NULL DEFAULT 'USD' CONSTRAINT profiles_currency CHECK (currency ~ '^[A-Z]{3}$'),
    location varchar(100),
    is_available boolean NOT NULL DEFAULT true,
    is_listed boolean NOT NULL DEFAULT true,
    avatar_id uuid REFERENCES marketplace.images (id) ON DELETE SET NULL,
    profile_views bigint NOT NULL DEFAULT 0 CONSTRAINT profiles_views CHECK (profile_views >= 0),
    total_earnings_cents bigint NOT NULL DEFAULT 0 CONSTRAINT profiles_earnings CHECK (total_earnings_cents >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX profiles_listed ON marketplace.profiles (created_at DESC, id DESC) WHERE is_listed;
CREATE INDEX profiles_skills ON marketplace.profiles USING gin (marketplace.folded(skills));
CREATE INDEX profiles_words ON marketplace.profiles
    USING gin (to_tsvector('english', name || ' ' || coalesce(headline, '') || ' ' || bio));
CREATE INDEX profiles_avatar ON marketplace.profiles (avatar_id) WHERE avatar_id IS NOT NULL;
CREATE TRIGGER update_profiles_updated_at BEFORE UPDATE ON marketplace.profiles
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- Who looked at a profile on which day, until an hourly job adds it to profile_views (homing/apps/marketplace/views.py).
CREATE TABLE marketplace.profile_visits (
    profile_id uuid NOT NULL REFERENCES marketplace.profiles (id) ON DELETE CASCADE,
    visitor_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    visited_on date NOT NULL,
    counted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (profile_id, visitor_id, visited_on)
);
CREATE INDEX profile_visits_visitor ON marketplace.profile_visits (visitor_id);
CREATE INDEX profile_visits_uncounted ON marketplace.profile_visits (profile_id) WHERE NOT counted;
CREATE INDEX profile_visits_counted ON marketplace.profile_visits (visited_on) WHERE counted;

CREATE TABLE marketplace.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    freelancer_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    title varchar(200) NOT NULL CONSTRAINT jobs_titled CHECK (btrim(title) <> ''),
    description text NOT NULL DEFAULT '' CONSTRAINT jobs_description_length CHECK (octet_length(description) <= 65536),
    skills text[] NOT NULL DEFAULT '{}' CONSTRAINT jobs_skills CHECK (marketplace.are_skills(skills)),
    budget_kind marketplace.budget_kind NOT NULL DEFAULT 'fixed',
    budget_min_cents bigint CONSTRAINT jobs_budget_min CHECK (budget_min_cents BETWEEN 0 AND 100000000000),
    budget_max_cents bigint CONSTRAINT jobs_budget_max CHECK (budget_max_cents BETWEEN 0 AND 100000000000),
    currency varchar(3) NOT NULL DEFAULT 'USD' CONSTRAINT jobs_currency CHECK (currency ~ '^[A-Z]{3}$'),
    status marketplace.job_status NOT NULL DEFAULT 'open',
    image_id uuid REFERENCES marketplace.images (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_budget CHECK (budget_min_cents IS NULL OR budget_max_cents IS NULL
                                  OR budget_min_cents <= budget_max_cents),
    CONSTRAINT jobs_others CHECK (freelancer_id IS NULL OR freelancer_id <> client_id)
);
-- One index a list, each in the order in which lists are read (newest first, by keyset).
-- The listing's holds the budget too: however few jobs pay enough, only the index is read.
CREATE INDEX jobs_listed ON marketplace.jobs (created_at DESC, id DESC)
    INCLUDE (budget_kind, budget_min_cents, budget_max_cents) WHERE status = 'open';
CREATE INDEX jobs_of_status ON marketplace.jobs (status, created_at DESC, id DESC);
CREATE INDEX jobs_of_client ON marketplace.jobs (client_id, created_at DESC, id DESC);
CREATE INDEX jobs_of_freelancer ON marketplace.jobs (freelancer_id, created_at DESC, id DESC)
    WHERE freelancer_id IS NOT NULL;
CREATE INDEX jobs_words ON marketplace.jobs USING gin (to_tsvector('english', title || ' ' || description));
CREATE INDEX jobs_skills ON marketplace.jobs USING gin (marketplace.folded(skills));
CREATE INDEX jobs_image ON marketplace.jobs (image_id) WHERE image_id IS NOT NULL;
CREATE TRIGGER update_jobs_updated_at BEFORE UPDATE ON marketplace.jobs
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- How a job may go. homing/apps/marketplace/rules.py says the same to replicas; a test compares the two.
CREATE TABLE marketplace.job_transitions (
    from_status marketplace.job_status NOT NULL,
    to_status marketplace.job_status NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO marketplace.job_transitions (from_status, to_status) VALUES
    ('draft', 'open'), ('draft', 'cancelled'), ('open', 'in_progress'), ('open', 'cancelled'),
    ('in_progress', 'completed'), ('in_progress', 'cancelled');

CREATE FUNCTION marketplace.check_job_transition() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM marketplace.job_transitions t
                   WHERE t.from_status = OLD.status AND t.to_status = NEW.status) THEN
        RAISE EXCEPTION 'a job that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'job_transition', TABLE = 'jobs', SCHEMA = 'marketplace',
                  COLUMN = 'status';
    END IF;
    IF NEW.status = 'in_progress' AND NEW.freelancer_id IS NULL THEN
        RAISE EXCEPTION 'a job is begun by accepting a proposal'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'job_has_freelancer', TABLE = 'jobs',
                  SCHEMA = 'marketplace', COLUMN = 'status';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_job_transition BEFORE UPDATE OF status ON marketplace.jobs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION marketplace.check_job_transition();

-- `client_id` is the job's: so both sides of a proposal hold it by its own columns, without a join on every pull.
CREATE TABLE marketplace.proposals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES marketplace.jobs (id) ON DELETE CASCADE,
    client_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    freelancer_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    cover_letter text NOT NULL DEFAULT ''
        CONSTRAINT proposals_letter_length CHECK (octet_length(cover_letter) <= 65536),
    amount_cents bigint NOT NULL CONSTRAINT proposals_amount CHECK (amount_cents BETWEEN 0 AND 100000000000),
    currency varchar(3) NOT NULL DEFAULT 'USD' CONSTRAINT proposals_currency CHECK (currency ~ '^[A-Z]{3}$'),
    estimated_days integer CONSTRAINT proposals_days CHECK (estimated_days BETWEEN 1 AND 3650),
    status marketplace.proposal_status NOT NULL DEFAULT 'submitted',
    decided_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT proposals_once UNIQUE (freelancer_id, job_id),
    CONSTRAINT proposals_others CHECK (freelancer_id <> client_id)
);
CREATE UNIQUE INDEX proposals_accepted ON marketplace.proposals (job_id) WHERE status = 'accepted';
CREATE INDEX proposals_of_job ON marketplace.proposals (job_id, created_at DESC, id DESC);
-- With what a pull asks of them each time: whom somebody has to do with. (Which jobs they follow, proposals_once says.)
CREATE INDEX proposals_of_client ON marketplace.proposals (client_id, created_at DESC, id DESC) INCLUDE (freelancer_id);
CREATE INDEX proposals_of_freelancer ON marketplace.proposals (freelancer_id, created_at DESC, id DESC)
    INCLUDE (client_id);
CREATE TRIGGER update_proposals_updated_at BEFORE UPDATE ON marketplace.proposals
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- A proposal comes to an open job only. The lock makes it wait for a decision on the job that is just being made, and the
-- decision for it: no proposal stays undecided on a job that is taken.
CREATE FUNCTION marketplace.arrive_proposal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    job record;
BEGIN
    SELECT j.client_id, j.status INTO job FROM marketplace.jobs j WHERE j.id = NEW.job_id FOR SHARE;
    NEW.client_id = job.client_id;
    IF job.status <> 'open' AND NEW.status IN ('submitted', 'shortlisted') THEN
        RAISE EXCEPTION 'the job takes no proposals: it is %', job.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_to_open_job', TABLE = 'proposals',
                  SCHEMA = 'marketplace', COLUMN = 'job_id';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER arrive BEFORE INSERT ON marketplace.proposals
    FOR EACH ROW EXECUTE FUNCTION marketplace.arrive_proposal();

CREATE FUNCTION marketplace.check_proposal_status() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF OLD.status NOT IN ('submitted', 'shortlisted') THEN
        RAISE EXCEPTION 'a proposal that is % stays so', OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_decided', TABLE = 'proposals',
                  SCHEMA = 'marketplace', COLUMN = 'status';
    END IF;
    IF NEW.status IN ('accepted', 'rejected', 'withdrawn') THEN
        NEW.decided_at = now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_proposal_status BEFORE UPDATE OF status ON marketplace.proposals
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION marketplace.check_proposal_status();

-- Accepting a proposal begins its job and rejects the others: for every writer, in the transaction of the decision, and
-- with a few statements however many proposals are decided. The jobs first, in the order of their ids: two decisions about
-- one job wait for each other there.
CREATE FUNCTION marketplace.begin_jobs() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    taken uuid[];
    locked uuid[];
BEGIN
    SELECT array_agg(n.job_id) INTO taken
    FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE n.status = 'accepted' AND o.status <> 'accepted';
    IF taken IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(j.id) INTO locked
    FROM (SELECT id FROM marketplace.jobs WHERE id = ANY (taken) AND status = 'open' ORDER BY id FOR UPDATE) j;
    IF cardinality(locked) IS DISTINCT FROM cardinality(taken) THEN
        RAISE EXCEPTION 'the job is not open any more'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'accepted_for_open_job', TABLE = 'proposals',
                  SCHEMA = 'marketplace', COLUMN = 'status';
    END IF;
    UPDATE marketplace.jobs j SET status = 'in_progress', freelancer_id = n.freelancer_id
    FROM new_rows n WHERE j.id = n.job_id AND n.status = 'accepted' AND j.id = ANY (taken);
    UPDATE marketplace.proposals p SET status = 'rejected'
    WHERE p.job_id = ANY (taken) AND p.status IN ('submitted', 'shortlisted');
    RETURN NULL;
END $$;
CREATE TRIGGER begin_jobs AFTER UPDATE ON marketplace.proposals REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION marketplace.begin_jobs();

-- Of a job that is cancelled before it began, nobody waits for an answer any more.
CREATE FUNCTION marketplace.close_proposals() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE marketplace.proposals p SET status = 'rejected'
    FROM new_rows n JOIN old_rows o ON o.id = n.id
    WHERE n.status = 'cancelled' AND o.status <> 'cancelled'
      AND p.job_id = n.id AND p.status IN ('submitted', 'shortlisted');
    RETURN NULL;
END $$;
CREATE TRIGGER close_proposals AFTER UPDATE ON marketplace.jobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION marketplace.close_proposals();

CREATE TABLE marketplace.saved_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    job_id uuid NOT NULL REFERENCES marketplace.jobs (id) ON DELETE CASCADE,
    note varchar(500),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT saved_once UNIQUE (user_id, job_id)
);
CREATE INDEX saved_jobs_listed ON marketplace.saved_jobs (user_id, created_at DESC, id DESC);
CREATE INDEX saved_jobs_job ON marketplace.saved_jobs (job_id);

CREATE TABLE marketplace.messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sender_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    recipient_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    job_id uuid REFERENCES marketplace.jobs (id) ON DELETE SET NULL,
    content text NOT NULL CONSTRAINT messages_content CHECK (btrim(content) <> '' AND octet_length(content) <= 65536),
    is_read boolean NOT NULL DEFAULT false,
    read_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT messages_read CHECK (is_read = (read_at IS NOT NULL))
);
CREATE INDEX messages_inbox ON marketplace.messages (recipient_id, created_at DESC, id DESC);
CREATE INDEX messages_sent ON marketplace.messages (sender_id, created_at DESC, id DESC);
CREATE INDEX messages_conversation ON marketplace.messages (sender_id, recipient_id, created_at DESC, id DESC);
CREATE INDEX messages_unread ON marketplace.messages (recipient_id) WHERE NOT is_read;
CREATE INDEX messages_job ON marketplace.messages (job_id) WHERE job_id IS NOT NULL;
CREATE TRIGGER update_messages_updated_at BEFORE UPDATE ON marketplace.messages
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();
-- What is read stays read, whoever writes.
CREATE FUNCTION marketplace.keep_read() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.is_read = NEW.is_read OR (TG_OP = 'UPDATE' AND OLD.is_read);
    NEW.read_at = CASE WHEN TG_OP = 'UPDATE' AND OLD.is_read THEN OLD.read_at
                       WHEN NEW.is_read THEN coalesce(NEW.read_at, now()) END;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_read BEFORE INSERT OR UPDATE OF is_read, read_at ON marketplace.messages
    FOR EACH ROW EXECUTE FUNCTION marketplace.keep_read();

-- Who wrote with whom: what says whose profiles a phone holds, without reading everything they wrote on every pull. In
-- order of the key: two people who write to each other at the same moment wait for each other, never both.
CREATE TABLE marketplace.correspondents (
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    partner_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, partner_id)
);
CREATE INDEX correspondents_partner ON marketplace.correspondents (partner_id);
CREATE FUNCTION marketplace.note_correspondents() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO marketplace.correspondents (user_id, partner_id)
    SELECT DISTINCT w.user_id, w.partner_id
    FROM (SELECT sender_id, recipient_id FROM new_rows
          UNION ALL SELECT recipient_id, sender_id FROM new_rows) AS w (user_id, partner_id)
    ORDER BY w.user_id, w.partner_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_correspondents AFTER INSERT ON marketplace.messages REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION marketplace.note_correspondents();

-- What a phone should keep at hand, and what it lets go first: read by phones, set by the office. `entity` is what the
-- rows are called on the wire; of lower priority what goes first.
CREATE TABLE marketplace.offline_cache_metadata (
    entity varchar(50) PRIMARY KEY,
    max_rows integer NOT NULL CONSTRAINT cache_rows CHECK (max_rows BETWEEN 0 AND 1000000),
    max_age_seconds integer NOT NULL CONSTRAINT cache_age CHECK (max_age_seconds > 0),
    priority integer NOT NULL DEFAULT 0 CONSTRAINT cache_priority CHECK (priority BETWEEN 0 AND 100),
    image_variant varchar(10) CONSTRAINT cache_variant CHECK (image_variant IN ('thumb', 'medium', 'original')),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER update_cache_updated_at BEFORE UPDATE ON marketplace.offline_cache_metadata
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();
INSERT INTO marketplace.offline_cache_metadata (entity, max_rows, max_age_seconds, priority, image_variant) VALUES
    ('profile', 500, 604800, 90, 'thumb'), ('proposal', 1000, 2592000, 80, NULL), ('saved_job', 500, 2592000, 70, NULL),
    ('job', 1000, 1209600, 60, 'thumb'), ('message', 2000, 2592000, 50, NULL);
