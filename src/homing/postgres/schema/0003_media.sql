-- Uploads: what was promised at presign, and what was found in the store. A key is made by the server, belongs to the
-- user and device that asked for it, and is never written again once it is complete.
CREATE TABLE homing.media (
    key text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE SET NULL,
    filename text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint CHECK (size_bytes >= 0),          -- as promised; NULL where the client did not say
    sha256 bytea CHECK (octet_length(sha256) = 32),     -- as promised
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,                           -- verified: exists, with the promised size, type and hash
    found_size bigint,
    found_sha256 bytea,
    referenced_at timestamptz                           -- a row names it; the orphan sweep leaves it alone
);
CREATE INDEX media_orphans ON homing.media (created_at) WHERE referenced_at IS NULL;
