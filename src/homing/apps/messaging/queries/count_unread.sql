-- The spec's unread count. The two states that are not 'read' by name, so that the index on (recipient_id, status) gives
-- the answer alone; "status <> 'read'" would walk over everything ever read.
SELECT count(*) FROM messaging.messages WHERE recipient_id = %(user)s AND status IN ('pending_sync', 'synced')
