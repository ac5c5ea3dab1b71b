-- Push notifications (spec 4). homing.users has device_tokens and mobile_preferences since the first migration; what a
-- token belongs to, what was sent, and what people want to be told is here.

-- Where a notification can be pushed to: one row for each app or browser that somebody is signed in with. It goes with
-- its session, so that a phone that was signed out shows nothing of whoever used it before.
CREATE TABLE homing.push_tokens (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    session_id uuid NOT NULL REFERENCES homing.sessions (id) ON DELETE CASCADE,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,    -- NULL: a browser's
    platform varchar(20) NOT NULL CHECK (platform IN ('ios', 'android', 'web')),
    provider text NOT NULL CHECK (provider IN ('fcm', 'apns', 'webpush', 'expo')),
    address text NOT NULL UNIQUE CHECK (length(address) BETWEEN 1 AND 2048),    -- a token, or a Web Push endpoint
    keys jsonb,                                 -- Web Push: {p256dh, auth}, what its messages are encrypted for
    created_at timestamptz NOT NULL DEFAULT now(),
    renewed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((provider = 'webpush') = (keys IS NOT NULL))
);
CREATE INDEX push_tokens_user ON homing.push_tokens (user_id, renewed_at DESC);
CREATE INDEX push_tokens_session ON homing.push_tokens (session_id);
CREATE INDEX push_tokens_device ON homing.push_tokens (device_id) WHERE device_id IS NOT NULL;

-- A registration looks whether its token was another device's.
CREATE INDEX mobile_devices_push_token ON homing.mobile_devices USING hash (push_token) WHERE push_token IS NOT NULL;

-- users.device_tokens says the same, as the spec has it, whoever writes. The users are locked first and read afterwards:
-- of two phones registered at once, the second sees the first.
CREATE FUNCTION homing.mirror_push_tokens() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM homing.users u WHERE u.id IN (SELECT c.user_id FROM changed c) ORDER BY u.id FOR NO KEY UPDATE;
    UPDATE homing.users u SET device_tokens = now_there.tokens
    FROM (SELECT c.user_id, coalesce((
              SELECT jsonb_agg(jsonb_build_object('provider', t.provider, 'platform', t.platform, 'token', t.address)
                               ORDER BY t.id)
              FROM homing.push_tokens t WHERE t.user_id = c.user_id), '[]') AS tokens
          FROM (SELECT DISTINCT user_id FROM changed) c) now_there
    WHERE u.id = now_there.user_id AND u.device_tokens <> now_there.tokens;
    RETURN NULL;
END $$;
CREATE TRIGGER mirror_added AFTER INSERT ON homing.push_tokens REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION homing.mirror_push_tokens();
CREATE TRIGGER mirror_taken AFTER UPDATE ON homing.push_tokens REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION homing.mirror_push_tokens();
CREATE TRIGGER mirror_given AFTER UPDATE ON homing.push_tokens REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION homing.mirror_push_tokens();
CREATE TRIGGER mirror_removed AFTER DELETE ON homing.push_tokens REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION homing.mirror_push_tokens();

-- What people want to be told. Without a row: the defaults of the columns.
CREATE TABLE homing.notification_preferences (
    user_id uuid PRIMARY KEY REFERENCES homing.users (id) ON DELETE CASCADE,
    job_matches boolean NOT NULL DEFAULT true,
    proposal_updates boolean NOT NULL DEFAULT true,
    payment_alerts boolean NOT NULL DEFAULT true,
    marketing boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each notification and user: the list that people see. Its way to each device is in push_deliveries.
CREATE TABLE homing.push_notifications (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    platform varchar(20) NOT NULL,              -- of the device that registered last; 'web' where there is none
    notification_type varchar(50) NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',           -- ids, nothing else
    sent_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz,
    clicked_at timestamptz,
    -- beyond the spec
    collapse text,                              -- of those with the same one, a device shows the newest
    seconds integer NOT NULL DEFAULT 86400,     -- for how long it is worth delivering
    urgent boolean NOT NULL DEFAULT true,
    waiting boolean NOT NULL DEFAULT true,      -- no worker has looked for its devices yet
    CONSTRAINT chk_clicked_is_read CHECK (clicked_at IS NULL OR read_at IS NOT NULL)
);
CREATE INDEX push_notifications_newest ON homing.push_notifications (user_id, id DESC);
CREATE INDEX push_notifications_unread ON homing.push_notifications (user_id, id DESC) WHERE read_at IS NULL;
CREATE INDEX push_notifications_waiting ON homing.push_notifications (id) WHERE waiting;
CREATE INDEX push_notifications_age ON homing.push_notifications (sent_at);

-- A notification on its way to a device. 'pending' also while it is being sent: whoever takes it moves not_before to
-- when it would be given up, so that a worker that dies costs a delay and no lock.
CREATE TABLE homing.push_deliveries (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    notification_id bigint NOT NULL REFERENCES homing.push_notifications (id) ON DELETE CASCADE,
    token_id bigint NOT NULL,                   -- no foreign keys: what became of it is told when they are gone
    device_id uuid,
    platform varchar(20) NOT NULL,
    provider text NOT NULL,
    collapse text,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'sent', 'delivered', 'logged', 'quiet', 'superseded', 'gone', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    held boolean NOT NULL DEFAULT false,        -- waited because the device was connected
    not_before timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,                        -- when the provider took it
    delivered_at timestamptz,                   -- when a receipt, or the device itself, said so
    provider_id text,                           -- the provider's name for it
    receipt_at timestamptz,                     -- when to ask for the receipt
    error text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX push_deliveries_notification ON homing.push_deliveries (notification_id);
CREATE INDEX push_deliveries_due ON homing.push_deliveries (not_before, id) WHERE status = 'pending';
CREATE INDEX push_deliveries_token ON homing.push_deliveries (token_id, collapse, id);
CREATE INDEX push_deliveries_receipts ON homing.push_deliveries (receipt_at, id) WHERE receipt_at IS NOT NULL;

-- Which sessions have a live connection, a node: their devices need not be woken.
CREATE TABLE homing.live_sessions (
    node uuid NOT NULL REFERENCES homing.live_nodes (node) ON DELETE CASCADE,
    session_id uuid NOT NULL REFERENCES homing.sessions (id) ON DELETE CASCADE,
    PRIMARY KEY (session_id, node)
);
CREATE INDEX live_sessions_node ON homing.live_sessions (node);
