-- Live delivery: which nodes have subscribers, who is connected where, who is online, and which decisions of the office
-- are news. What changed is found as everywhere else, by the transaction that wrote it (engine/live.py).
CREATE TABLE homing.live_nodes (
    node uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- A user is here once a node, however many sockets they have open to it.
CREATE TABLE homing.live_users (
    node uuid NOT NULL REFERENCES homing.live_nodes (node) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, node)
);
CREATE INDEX live_users_node ON homing.live_users (node);

-- Beside homing.users, whose online_status and last_seen say the same, so that presence has a stamp without making a
-- synced table of the users.
CREATE TABLE homing.presence (
    user_id uuid PRIMARY KEY REFERENCES homing.users (id) ON DELETE CASCADE,
    online boolean NOT NULL,
    last_seen timestamptz NOT NULL,
    changed xid8 NOT NULL
);
CREATE INDEX presence_changed ON homing.presence (changed);

-- Being seen is not being changed.
DROP TRIGGER update_users_updated_at ON homing.users;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON homing.users
    FOR EACH ROW WHEN (OLD.last_seen IS NOT DISTINCT FROM NEW.last_seen
                       AND OLD.online_status IS NOT DISTINCT FROM NEW.online_status)
    EXECUTE FUNCTION homing.update_updated_at_column();

ALTER TABLE homing.conflicts ADD COLUMN settled xid8;   -- the transaction that resolved it
CREATE INDEX conflicts_settled ON homing.conflicts (settled) WHERE settled IS NOT NULL;
CREATE FUNCTION homing.note_settled() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.settled = pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER conflicts_settled BEFORE UPDATE ON homing.conflicts
    FOR EACH ROW WHEN (OLD.resolution = 'pending' AND NEW.resolution = 'resolved')
    EXECUTE FUNCTION homing.note_settled();
