-- template: of many callers the places of those whose access token no longer holds, or who hold other scopes than those
-- named by digest (NULL: any). Asked of everybody before anything is sent and every second, so the question is text that
-- is put together fast, each caller costs a few keys, and the answer is next to nothing. (Each is looked up by its key
-- alone, and only then looked at: by a plan that was made when there were few, all users or devices would be read.)
SELECT homing_caller.n::int
FROM unnest(%(users)s::text::uuid[], %(sessions)s::text::uuid[], %(devices)s::text::text[], %(roles)s::text::text[],
            %(digests)s::text::text[]) WITH ORDINALITY
     AS homing_caller (user_id, session_id, device, role, digest, n)
WHERE (SELECT u.is_active AND u.role = homing_caller.role FROM homing.users u
       WHERE u.id = homing_caller.user_id) IS NOT TRUE
   OR (SELECT s.user_id = homing_caller.user_id AND s.revoked_at IS NULL AND s.expires_at > now() FROM homing.sessions s
       WHERE s.id = homing_caller.session_id) IS NOT TRUE
   OR homing_caller.device IS NOT NULL
      AND (SELECT d.user_id = homing_caller.user_id AND d.status = 'active' FROM homing.mobile_devices d
           WHERE d.device_id = homing_caller.device) IS NOT TRUE
   OR homing_caller.digest IS NOT NULL
      AND (SELECT %%(digest)s FROM (%%(held)s) AS homing_held (scope)) <> decode(homing_caller.digest, 'hex')
