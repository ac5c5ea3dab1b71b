-- Messaging's part of the spec's health query; users and sync errors are counted with the core.
SELECT (SELECT count(*) FROM messaging.messages) AS message_count,
       (SELECT count(*) FROM messaging.messages WHERE status = 'pending_sync') AS pending_sync_count
