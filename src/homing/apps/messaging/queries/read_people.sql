-- The two people of each message: the spec's sender_username, and the recipient's beside it: of those of
-- these messages that somebody may see.
SELECT m.id, s.username, r.username
FROM messaging.messages m
JOIN homing.users s ON s.id = m.sender_id
JOIN homing.users r ON r.id = m.recipient_id
WHERE m.id = ANY (%(ids)s) AND %(user)s IN (m.sender_id, m.recipient_id)
