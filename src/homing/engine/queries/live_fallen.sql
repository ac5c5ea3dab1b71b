-- template: of many callers the places of those whose access token no longer holds, or who hold other scopes than those
-- named by digest (NULL: any). Asked of everybody before anything is sent and every second, so the question is text that
-- is put together fast, each caller costs a few keys, and the answer is next to nothing.
SELECT homing_caller.n::int
FROM unnest(%(users)s::text::uuid[], %(sessions)s::text::uuid[], %(devices)s::text::text[], %(roles)s::text::text[],
            %(digests)s::text::text[]) WITH ORDINALITY
     AS homing_caller (user_id, session_id, device, role, digest, n)
LEFT JOIN homing.users u ON u.id = homing_caller.user_id
LEFT JOIN homing.sessions s ON s.id = homing_caller.session_id AND s.user_id = u.id
LEFT JOIN homing.mobile_devices d ON d.device_id = homing_caller.device
WHERE (u.is_active AND u.role = homing_caller.role AND s.revoked_at IS NULL AND s.expires_at > now()
       AND (homing_caller.device IS NULL OR (d.status = 'active' AND d.user_id = u.id))
       AND (homing_caller.digest IS NULL
            OR (SELECT %%(digest)s FROM (%%(held)s) AS homing_held (scope)) = decode(homing_caller.digest, 'hex'))
      ) IS NOT TRUE
