-- The file of a media row, for whoever holds the row: the office, its team, its author.
SELECT m.key, m.filename, m.content_type
FROM fieldwork.submission_media m
WHERE m.id = %(id)s::uuid
  AND (%(office)s OR m.author_id = %(user)s::uuid
       OR m.team_id IN (SELECT t.team_id FROM fieldwork.team_members t WHERE t.user_id = %(user)s::uuid))
