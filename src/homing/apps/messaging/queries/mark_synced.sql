-- template: read when the application is declared, because the stamp in it is there only once the engine is bound.
-- A phone said what it has stored for good: what was waiting for it and is visible in that snapshot has arrived. Locked
-- in order of id, as push locks rows.
WITH arrived AS (
    SELECT m.id FROM messaging.messages m
    WHERE m.recipient_id = %(user)s AND m.status = 'pending_sync'
      AND pg_visible_in_snapshot(m.changed, %(snapshot)s::text::pg_snapshot)
    ORDER BY m.id
    FOR UPDATE
)
UPDATE messaging.messages m SET status = 'synced'
FROM arrived WHERE m.id = arrived.id
