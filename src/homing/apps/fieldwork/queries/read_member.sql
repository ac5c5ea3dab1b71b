-- One member of a team, with the names that people know.
SELECT m.team_id, m.user_id, u.username, u.name, m.joined_at
FROM fieldwork.team_members m
JOIN homing.users u ON u.id = m.user_id
WHERE m.team_id = %(team)s::uuid AND m.user_id = %(user)s::uuid
