-- The spec's update of a message's status, for many at once and by the recipient alone: the times are kept by triggers,
-- for whoever writes. Locked in order of id, as push locks rows, so that two readers cannot wait for each other.
WITH waiting AS (
    SELECT m.id FROM messaging.messages m
    WHERE m.id = ANY (%(ids)s) AND m.recipient_id = %(user)s AND m.status <> 'read'
    ORDER BY m.id
    FOR UPDATE
)
UPDATE messaging.messages m SET status = %(status)s
FROM waiting WHERE m.id = waiting.id
