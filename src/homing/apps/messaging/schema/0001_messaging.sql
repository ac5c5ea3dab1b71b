-- Messaging: spec 3's messages, over the core's one homing.users and homing.sync_metadata. What stands below "beyond the
-- spec" in a table is not in it. The engine adds its stamp columns and triggers to the synced tables when it is bound.
CREATE SCHEMA messaging;

CREATE TABLE messaging.messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sender_id uuid NOT NULL CONSTRAINT fk_messages_sender REFERENCES homing.users (id) ON DELETE CASCADE,
    recipient_id uuid NOT NULL CONSTRAINT fk_messages_recipient REFERENCES homing.users (id) ON DELETE CASCADE,
    content text NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'pending_sync'
        CONSTRAINT chk_status CHECK (status IN ('pending_sync', 'synced', 'read')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    synced_at timestamptz,
    read_at timestamptz,
    -- beyond the spec
    written_at timestamptz NOT NULL DEFAULT now()   -- when the sender wrote it, perhaps hours before it came here
);
CREATE INDEX idx_messages_sender ON messaging.messages (sender_id);
CREATE INDEX idx_messages_recipient ON messaging.messages (recipient_id);
CREATE INDEX idx_messages_recipient_status ON messaging.messages (recipient_id, status);
CREATE INDEX idx_messages_status ON messaging.messages (status);
CREATE INDEX idx_messages_created_at ON messaging.messages (created_at DESC);
-- One index a list, each in the order in which lists are read (newest first, by keyset).
CREATE INDEX messages_inbox ON messaging.messages (recipient_id, created_at DESC, id DESC);
CREATE INDEX messages_sent ON messaging.messages (sender_id, created_at DESC, id DESC);
CREATE INDEX messages_conversation ON messaging.messages (sender_id, recipient_id, created_at DESC, id DESC);
-- What waits for phones: a few among very many, oldest first.
CREATE INDEX messages_pending ON messaging.messages (recipient_id, created_at, id) WHERE status = 'pending_sync';
-- 'simple': people write in many languages, and a word is found as it was written.
CREATE INDEX messages_words ON messaging.messages USING gin (to_tsvector('simple', content));

CREATE TRIGGER update_messages_updated_at BEFORE UPDATE ON messaging.messages
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- now() is when the transaction began, and a message of the same transaction may have been made a microsecond "later"
-- than that (arrive, below): no time of a message is before the one it follows.
CREATE FUNCTION messaging.update_synced_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.status = 'synced' AND OLD.status <> 'synced' THEN
        NEW.synced_at = greatest(now(), NEW.created_at);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER update_messages_synced_at BEFORE UPDATE ON messaging.messages
    FOR EACH ROW EXECUTE FUNCTION messaging.update_synced_at();

-- What was read has arrived, also where it was read before its phone said so.
CREATE FUNCTION messaging.update_read_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.status = 'read' AND OLD.status <> 'read' THEN
        NEW.read_at = greatest(now(), NEW.created_at, NEW.synced_at);
        NEW.synced_at = coalesce(NEW.synced_at, NEW.read_at);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER update_messages_read_at BEFORE UPDATE ON messaging.messages
    FOR EACH ROW EXECUTE FUNCTION messaging.update_read_at();

-- pending_sync, synced, read: never backwards, whoever writes. Triggers run in the order of their names, so this one
-- comes before those that keep the times.
CREATE FUNCTION messaging.keep_status() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.status = OLD.status;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_messages_status BEFORE UPDATE OF status ON messaging.messages FOR EACH ROW
    WHEN (array_position(ARRAY['pending_sync', 'synced', 'read'], NEW.status::text)
          < array_position(ARRAY['pending_sync', 'synced', 'read'], OLD.status::text))
    EXECUTE FUNCTION messaging.keep_status();

-- The messages of one sender keep the order in which they come in: each is made later than the one before, also within
-- one transaction, where now() is the same for all. And a message to somebody without a phone is where it is to be read
-- the moment it is here: nothing will ever sync it.
CREATE FUNCTION messaging.arrive() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    before timestamptz;
BEGIN
    IF NEW.created_at = now() THEN
        SELECT max(m.created_at) INTO before FROM messaging.messages m WHERE m.sender_id = NEW.sender_id;
        NEW.created_at = greatest(NEW.created_at, before + interval '1 microsecond');
        NEW.updated_at = NEW.created_at;
    END IF;
    IF NEW.status = 'pending_sync'
        AND EXISTS (SELECT FROM homing.users u WHERE u.id = NEW.recipient_id AND u.user_type = 'web')
        AND NOT EXISTS (SELECT FROM homing.mobile_devices d WHERE d.user_id = NEW.recipient_id AND d.status <> 'revoked')
    THEN
        NEW.status = 'synced';
    END IF;
    IF NEW.status = 'read' THEN
        NEW.read_at = coalesce(NEW.read_at, NEW.created_at);
    END IF;
    IF NEW.status <> 'pending_sync' THEN
        NEW.synced_at = coalesce(NEW.synced_at, NEW.created_at);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER arrive BEFORE INSERT ON messaging.messages FOR EACH ROW EXECUTE FUNCTION messaging.arrive();

-- Beyond the spec: who wrote with whom, and when last. It is what makes "my conversations, latest first" one index scan,
-- and what says whose names a phone needs.
CREATE TABLE messaging.conversations (
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    partner_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, partner_id)
);
CREATE INDEX conversations_latest ON messaging.conversations (user_id, last_at DESC, partner_id DESC);
CREATE INDEX conversations_partner ON messaging.conversations (partner_id);

-- In order of the key: two people who write to each other at the same moment wait for each other, never both.
CREATE FUNCTION messaging.note_conversation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO messaging.conversations AS c (user_id, partner_id, last_at)
    SELECT w.user_id, w.partner_id, max(w.created_at)
    FROM (SELECT sender_id, recipient_id, created_at FROM new_messages
          UNION ALL SELECT recipient_id, sender_id, created_at FROM new_messages) AS w (user_id, partner_id, created_at)
    GROUP BY w.user_id, w.partner_id
    ORDER BY w.user_id, w.partner_id
    ON CONFLICT (user_id, partner_id) DO UPDATE SET last_at = greatest(c.last_at, excluded.last_at);
    RETURN NULL;
END $$;
CREATE TRIGGER note_conversation AFTER INSERT ON messaging.messages REFERENCING NEW TABLE AS new_messages
    FOR EACH STATEMENT EXECUTE FUNCTION messaging.note_conversation();

-- Beyond the spec: what devices may know of people. Not homing.users itself: being seen changes a user every minute, and
-- every change of a synced row travels to all who hold it.
CREATE TABLE messaging.contacts (
    id uuid PRIMARY KEY REFERENCES homing.users (id) ON DELETE CASCADE,
    username varchar(255) NOT NULL,
    name varchar(100) NOT NULL,
    user_type varchar(50) NOT NULL,
    is_active boolean NOT NULL
);
-- As its owner: a server that does not run this application changes users too, and its role may not write here.
CREATE FUNCTION messaging.keep_contact() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO messaging.contacts AS c (id, username, name, user_type, is_active)
    VALUES (NEW.id, NEW.username, NEW.name, NEW.user_type, NEW.is_active)
    ON CONFLICT (id) DO UPDATE SET username = excluded.username, name = excluded.name, user_type = excluded.user_type,
        is_active = excluded.is_active
    WHERE (c.username, c.name, c.user_type, c.is_active)
        IS DISTINCT FROM (excluded.username, excluded.name, excluded.user_type, excluded.is_active);
    RETURN NULL;
END $$;
CREATE TRIGGER messaging_keep_contact AFTER INSERT OR UPDATE OF username, name, user_type, is_active ON homing.users
    FOR EACH ROW EXECUTE FUNCTION messaging.keep_contact();
INSERT INTO messaging.contacts (id, username, name, user_type, is_active)
SELECT id, username, name, user_type, is_active FROM homing.users;
