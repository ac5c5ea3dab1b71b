-- The file of an image, for whoever made it, and for everybody who may see a profile or job that shows it.
SELECT i.key, i.filename, i.content_type
FROM marketplace.images i
WHERE i.id = %(id)s::uuid
  AND (%(office)s OR i.user_id = %(user)s::uuid
       OR EXISTS (SELECT FROM marketplace.profiles p WHERE p.avatar_id = i.id AND p.is_listed)
       OR EXISTS (SELECT FROM marketplace.jobs j WHERE j.image_id = i.id
                  AND (j.status = 'open' OR j.freelancer_id = %(user)s::uuid
                       OR EXISTS (SELECT FROM marketplace.saved_jobs s
                                  WHERE s.user_id = %(user)s::uuid AND s.job_id = j.id)
                       OR EXISTS (SELECT FROM marketplace.proposals o
                                  WHERE o.freelancer_id = %(user)s::uuid AND o.job_id = j.id))))
