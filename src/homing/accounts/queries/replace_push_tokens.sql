-- Before a token is kept: the one that this app or browser had goes, and so do the user's oldest beyond what they may
-- have with the new one.
DELETE FROM homing.push_tokens t
WHERE t.address <> %(address)s::text
  AND (t.session_id = %(session)s::uuid OR t.device_id = %(device)s::uuid
       OR t.id IN (SELECT o.id FROM homing.push_tokens o
                   WHERE o.user_id = %(user)s::uuid AND o.address <> %(address)s::text
                   ORDER BY o.renewed_at DESC, o.id DESC OFFSET %(most)s::integer - 1))
