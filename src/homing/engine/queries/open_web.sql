-- Begin a push without a device (a web client, or our own REST routes): confirm who is calling, say who acts.
SELECT NULL::uuid, 1.0::float8, NULL::float8,
       set_config('homing.actor', %(user)s::uuid::text, true), set_config('homing.device', '', true),
       set_config('homing.batch', %(batch)s::text, true)
WHERE
-- include _holds
