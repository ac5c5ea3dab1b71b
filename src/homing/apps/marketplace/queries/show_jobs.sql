-- What stands beside each job of a page: its client as the market knows them, its picture, and what it is to the caller.
SELECT j.id, coalesce(p.name, u.name), p.id, p.avatar_id, j.image_id,
       EXISTS (SELECT FROM marketplace.saved_jobs s WHERE s.user_id = %(user)s::uuid AND s.job_id = j.id)
       , (SELECT count(*) FROM marketplace.proposals o WHERE o.job_id = j.id AND o.status <> 'withdrawn')  -- when web
       , CASE WHEN length(j.description) > 160 THEN left(j.description, 159) || '…' ELSE j.description END, j.skills[1:5]  -- when mobile
FROM marketplace.jobs j
JOIN homing.users u ON u.id = j.client_id
LEFT JOIN marketplace.profiles p ON p.user_id = j.client_id
WHERE j.id = ANY (%(ids)s::uuid[])
