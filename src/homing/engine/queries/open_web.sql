-- Begin a push without a device (a web client, or our own REST routes): confirm who is calling, say who acts.
SELECT NULL::uuid, 1.0::float8, NULL::float8,
       set_config('homing.actor', u.id::text, true), set_config('homing.device', '', true),
       set_config('homing.batch', %(batch)s::text, true)
FROM homing.users u JOIN homing.sessions s ON s.user_id = u.id
WHERE u.id = %(user)s AND u.is_active AND u.role = %(role)s
  AND s.id = %(session)s AND s.revoked_at IS NULL AND s.expires_at > now()
