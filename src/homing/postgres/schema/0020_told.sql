-- Notifications are told to whoever is connected: found as everything that is news, by the transaction that wrote them
-- (engine/live.py). Those from before are no news.
ALTER TABLE homing.push_notifications ADD COLUMN caused xid8;
ALTER TABLE homing.push_notifications ALTER COLUMN caused SET DEFAULT pg_current_xact_id();
CREATE INDEX push_notifications_caused ON homing.push_notifications (caused, id) WHERE caused IS NOT NULL;
