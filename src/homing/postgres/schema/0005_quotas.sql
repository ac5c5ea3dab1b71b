-- How much this tenant may hold. The operator's control table says so (homing_control.tenants); it is written here too,
-- so that the database itself keeps it, whichever node, command or hand writes. Without a row there is no bound.
CREATE TABLE homing.quotas (
    kind text PRIMARY KEY CHECK (kind IN ('users', 'devices', 'media_bytes')),
    most bigint NOT NULL CHECK (most >= 0)
);

-- What counts: active users, devices that are not revoked, and bytes of files, as promised until they are measured.
CREATE FUNCTION homing.used_of_quota(kind text) RETURNS numeric LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog
RETURN CASE kind
    WHEN 'users' THEN (SELECT count(*) FROM homing.users u WHERE u.is_active)
    WHEN 'devices' THEN (SELECT count(*) FROM homing.mobile_devices d WHERE d.status <> 'revoked')
    WHEN 'media_bytes' THEN (SELECT coalesce(sum(coalesce(m.found_size, m.size_bytes, 0)), 0) FROM homing.media m)
END;

-- Counting happens only where there is a quota, and one writer after the other: two at once would not see each other.
-- The caller's role need not see every row, so it counts as the owner.
CREATE FUNCTION homing.keep_quota() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    allowed bigint;
BEGIN
    SELECT q.most INTO allowed FROM homing.quotas q WHERE q.kind = TG_ARGV[0];
    IF allowed IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('homing quota ' || TG_ARGV[0], 0));
    IF homing.used_of_quota(TG_ARGV[0]) > allowed THEN
        RAISE EXCEPTION USING ERRCODE = 'HQ001', MESSAGE = TG_ARGV[0], DETAIL = allowed::text;
    END IF;
    RETURN NULL;
END $$;

-- After the row: who only changes an existing one, or makes room, is not asked.
CREATE TRIGGER keep_quota_new AFTER INSERT ON homing.users
    FOR EACH ROW WHEN (NEW.is_active) EXECUTE FUNCTION homing.keep_quota('users');
CREATE TRIGGER keep_quota_again AFTER UPDATE OF is_active ON homing.users
    FOR EACH ROW WHEN (NEW.is_active AND NOT OLD.is_active) EXECUTE FUNCTION homing.keep_quota('users');
CREATE TRIGGER keep_quota_new AFTER INSERT ON homing.mobile_devices
    FOR EACH ROW WHEN (NEW.status <> 'revoked') EXECUTE FUNCTION homing.keep_quota('devices');
CREATE TRIGGER keep_quota_again AFTER UPDATE OF status ON homing.mobile_devices
    FOR EACH ROW WHEN (NEW.status <> 'revoked' AND OLD.status = 'revoked')
    EXECUTE FUNCTION homing.keep_quota('devices');
CREATE TRIGGER keep_quota_new AFTER INSERT ON homing.media
    FOR EACH ROW EXECUTE FUNCTION homing.keep_quota('media_bytes');
CREATE TRIGGER keep_quota_more AFTER UPDATE OF found_size ON homing.media
    FOR EACH ROW WHEN (NEW.found_size > coalesce(OLD.found_size, OLD.size_bytes, 0))
    EXECUTE FUNCTION homing.keep_quota('media_bytes');
