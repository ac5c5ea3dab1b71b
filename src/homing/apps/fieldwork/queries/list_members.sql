-- The members of a team, in the order they joined. Bounded: a team of more is no team.
SELECT m.team_id, m.user_id, u.username, u.name, m.joined_at
FROM fieldwork.team_members m
JOIN homing.users u ON u.id = m.user_id
WHERE m.team_id = %(team)s::uuid
ORDER BY m.joined_at, m.user_id
LIMIT 1000
