-- What may be asked of a list of submissions. The three states are lines of their own because they differ so much: as a
-- parameter, the planner would take each for a third of the table.
AND (s.team_id = ANY (ARRAY(SELECT m.team_id FROM fieldwork.team_members m WHERE m.user_id = %(user)s)) OR s.author_id = %(user)s)  -- when worker
AND s.form_id = (SELECT f.id FROM fieldwork.mobile_forms f WHERE f.id = %(form_id)s::uuid OR f.code = %(form)s)  -- when form
AND s.device_id = (SELECT d.id FROM homing.mobile_devices d WHERE d.id = %(device_id)s::uuid OR d.device_id = %(device)s ORDER BY d.device_id = %(device)s DESC LIMIT 1)  -- when device
AND s.status = 'pending'  -- when pending
AND s.status = 'approved'  -- when approved
AND s.status = 'rejected'  -- when rejected
AND s.team_id = %(team)s::uuid  -- when team
AND s.author_id = %(author)s::uuid  -- when author
AND s.created_at >= %(since)s::timestamptz  -- when since
AND s.created_at < %(until)s::timestamptz  -- when until
AND (s.created_at, s.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
