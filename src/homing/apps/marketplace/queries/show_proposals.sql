-- What stands beside each proposal of a page: its job's title, and the two people as the market knows them.
SELECT o.id, j.title, coalesce(f.name, fu.name)
       , f.id, f.avatar_id, coalesce(c.name, cu.name)  -- when web
       , CASE WHEN length(o.cover_letter) > 160 THEN left(o.cover_letter, 159) || '…' ELSE o.cover_letter END  -- when mobile
FROM marketplace.proposals o
JOIN marketplace.jobs j ON j.id = o.job_id
JOIN homing.users fu ON fu.id = o.freelancer_id
JOIN homing.users cu ON cu.id = o.client_id
LEFT JOIN marketplace.profiles f ON f.user_id = o.freelancer_id
LEFT JOIN marketplace.profiles c ON c.user_id = o.client_id
WHERE o.id = ANY (%(ids)s::uuid[])
