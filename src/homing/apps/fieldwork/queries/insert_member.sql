-- Joining a team twice is joining it once.
INSERT INTO fieldwork.team_members (team_id, user_id) VALUES (%(team)s::uuid, %(user)s::uuid) ON CONFLICT DO NOTHING
