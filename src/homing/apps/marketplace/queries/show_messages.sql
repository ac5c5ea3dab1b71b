-- The names of the two people of each message of a page, as the market knows them.
SELECT m.id, coalesce(s.name, su.name), coalesce(r.name, ru.name)
FROM marketplace.messages m
JOIN homing.users su ON su.id = m.sender_id
JOIN homing.users ru ON ru.id = m.recipient_id
LEFT JOIN marketplace.profiles s ON s.user_id = m.sender_id
LEFT JOIN marketplace.profiles r ON r.user_id = m.recipient_id
WHERE m.id = ANY (%(ids)s::uuid[])
