-- End a membership.
DELETE FROM fieldwork.team_members m WHERE m.team_id = %(team)s::uuid AND m.user_id = %(user)s::uuid
