-- Enrolment: spec 3's table, and what holds a phone to its own key.
CREATE TABLE homing.enrollment_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),   -- the public handle; equal to id
    created_by uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    tenant_id varchar(255) NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    device_id varchar(255),                     -- the device's own name, set when it took the token
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- beyond the spec
    secret_hash bytea UNIQUE,                   -- SHA-256; NULL once it is cancelled or long expired
    role varchar(20) NOT NULL,
    username varchar(255),                      -- NULL: whoever takes it chooses
    server_key text NOT NULL,                   -- fingerprint of the key that the QR code names
    redeemer_hash bytea,                        -- of what the device sent: it alone gets a lost answer again
    device_type text,                           -- the device as it described itself, for whoever made the token
    os_version text,
    app_version text,
    cancelled_at timestamptz,
    cancelled_by uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    reported_at timestamptz,                    -- when a daily round found it expired and unused
    CONSTRAINT chk_used_by_a_device CHECK ((used_at IS NULL) = (device_id IS NULL)),
    CONSTRAINT chk_used_or_cancelled CHECK (used_at IS NULL OR cancelled_at IS NULL)
);
CREATE INDEX idx_enrollment_tokens_token ON homing.enrollment_tokens (token);
CREATE INDEX idx_enrollment_tokens_created_by ON homing.enrollment_tokens (created_by);
CREATE INDEX idx_enrollment_tokens_expires_at ON homing.enrollment_tokens (expires_at);
CREATE INDEX idx_enrollment_tokens_used_at ON homing.enrollment_tokens (used_at) WHERE used_at IS NULL;
-- Pages of a creator's tokens, and of everybody's, newest first.
CREATE INDEX enrollment_tokens_of_creator ON homing.enrollment_tokens (created_by, created_at DESC, id DESC);
CREATE INDEX enrollment_tokens_newest ON homing.enrollment_tokens (created_at DESC, id DESC);
CREATE TRIGGER update_enrollment_tokens_updated_at BEFORE UPDATE ON homing.enrollment_tokens
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- A user outlives the token; with its creator the token goes.
ALTER TABLE homing.users ADD COLUMN enrollment_token_id uuid
    REFERENCES homing.enrollment_tokens (id) ON DELETE SET NULL;
-- One token makes one user, whatever a program does. Unique is more than the spec asks of this index.
CREATE UNIQUE INDEX idx_users_enrollment_token ON homing.users (enrollment_token_id)
    WHERE enrollment_token_id IS NOT NULL;

-- A device's public key as a JWK (RFC 7517): Ed25519, or P-256, which is what phones' key stores have.
ALTER TABLE homing.mobile_devices
    ADD COLUMN public_key jsonb,
    ADD COLUMN public_key_at timestamptz;

-- The server's own key pair, whose fingerprint stands in QR codes: the private half of an Ed25519 key.
ALTER TABLE homing.keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE homing.keys ADD CONSTRAINT keys_purpose_check CHECK (purpose IN ('access', 'token', 'media', 'identity'));
