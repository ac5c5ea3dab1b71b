-- Uploads: what was promised at presign, and what was found in the store. A key is made by the server, belongs to the
-- user and device that asked for it, and is never written again once it is complete.
CREATE TABLE homing.media (
    key text PRIMARY KEY,
    -- Neither cascades: the row is all that knows of the file, and goes only together with it.
    user_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE SET NULL,
    filename text NOT NULL,
    content_type text NOT NULL,
    size_bytes bigint CHECK (size_bytes >= 0),          -- as promised; NULL where the client did not say
    sha256 bytea CHECK (octet_length(sha256) = 32),     -- as promised
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,                           -- verified: exists, with the promised size, type and hash
    found_size bigint,
    found_sha256 bytea CHECK (octet_length(found_sha256) = 32),
    referenced_at timestamptz,                          -- a row names it; the orphan sweep does not look at it
    CHECK (completed_at IS NULL OR (found_size IS NOT NULL AND found_sha256 IS NOT NULL))
);
CREATE INDEX media_orphans ON homing.media (created_at) WHERE referenced_at IS NULL;
CREATE INDEX media_begun ON homing.media (user_id) WHERE completed_at IS NULL;
CREATE INDEX media_device ON homing.media (device_id);

-- For the tables that name files, besides their foreign key to homing.media (key):
--   AFTER INSERT ON … REFERENCING NEW TABLE AS named FOR EACH STATEMENT EXECUTE FUNCTION homing.refer_to_media()
--   AFTER DELETE ON … REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION homing.release_media()
-- The triggers tell the sweep where to look, the foreign key has the last word: a file that was released here while
-- another row still names it is kept.
CREATE FUNCTION homing.refer_to_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE homing.media SET referenced_at = now()
    WHERE key IN (SELECT n.key FROM named n) AND referenced_at IS NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION homing.release_media() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE homing.media SET referenced_at = NULL WHERE key IN (SELECT g.key FROM gone g);
    RETURN NULL;
END $$;
