-- Unread messages to somebody by sender, for these senders.
SELECT m.sender_id, count(*) FROM messaging.messages m
WHERE m.recipient_id = %(user)s AND m.status IN ('pending_sync', 'synced') AND m.sender_id = ANY (%(partners)s)
GROUP BY m.sender_id
