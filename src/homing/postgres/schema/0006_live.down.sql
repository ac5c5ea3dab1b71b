DROP TRIGGER conflicts_settled ON homing.conflicts;
DROP FUNCTION homing.note_settled();
DROP INDEX homing.conflicts_settled;
ALTER TABLE homing.conflicts DROP COLUMN settled;
DROP TRIGGER update_users_updated_at ON homing.users;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON homing.users
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();
DROP TABLE homing.presence;
DROP TABLE homing.live_users;
DROP TABLE homing.live_nodes;
