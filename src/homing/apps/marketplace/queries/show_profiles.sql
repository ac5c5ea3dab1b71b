-- What of a profile is shortened for a phone: the beginning of what somebody says of themselves, and the first skills.
SELECT p.id, p.avatar_id, CASE WHEN length(p.bio) > 160 THEN left(p.bio, 159) || '…' ELSE p.bio END, p.skills[1:10]
FROM marketplace.profiles p
WHERE p.id = ANY (%(ids)s::uuid[])
