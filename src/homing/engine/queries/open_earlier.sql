-- Begin a push of what a user asked for earlier (a job): active still, and in the same role; say who acts.
SELECT NULL::uuid, 1.0::float8, NULL::float8,
       set_config('homing.actor', %(user)s::uuid::text, true), set_config('homing.device', '', true),
       set_config('homing.batch', %(batch)s::text, true)
WHERE (SELECT u.is_active AND u.role = %(role)s FROM homing.users u WHERE u.id = %(user)s::uuid)
