-- The media of one submission, in the order they were added.
SELECT m.id FROM fieldwork.submission_media m WHERE m.submission_id = %(submission)s::uuid ORDER BY m.created_at, m.id
