DROP TABLE homing.device_events;
ALTER TABLE homing.mobile_devices DROP COLUMN fingerprint, DROP COLUMN fingerprint_at;
DROP TRIGGER update_users_updated_at ON homing.users;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON homing.users
    FOR EACH ROW WHEN (OLD.last_seen IS NOT DISTINCT FROM NEW.last_seen
                       AND OLD.online_status IS NOT DISTINCT FROM NEW.online_status)
    EXECUTE FUNCTION homing.update_updated_at_column();
DROP TABLE homing.mobile_sessions;
DELETE FROM homing.keys WHERE purpose = 'fingerprint';
ALTER TABLE homing.keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE homing.keys ADD CONSTRAINT keys_purpose_check CHECK (purpose IN ('access', 'token', 'media', 'identity'));
DROP FUNCTION homing.give_back_permits(bytea[], bigint[], integer[]);
DROP FUNCTION homing.take_permits(bytea[], integer[], integer[], integer[], bigint[], integer[], integer);
DROP TABLE homing.rate_counts;
