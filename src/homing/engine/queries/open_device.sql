-- Begin a device's push: confirm who is calling, lock the device's row (one push of a device at a time), say who acts, and
-- how its sync stands once this is committed.
WITH opened AS (
    UPDATE homing.mobile_devices d
    SET last_seen = %(now)s, clock_offset = coalesce(%(offset)s::interval, d.clock_offset)
    FROM homing.users u, homing.sessions s
    WHERE d.device_id = %(device)s::text AND d.user_id = u.id AND d.status = 'active'
      AND u.id = %(user)s AND u.is_active AND u.role = %(role)s
      AND s.id = %(session)s AND s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > now()
    RETURNING d.id, d.trust_score, extract(epoch FROM d.clock_offset)::float8,
              set_config('homing.actor', u.id::text, true), set_config('homing.device', d.id::text, true),
              set_config('homing.batch', %(batch)s::text, true), d.device_id AS device
), kept AS (
-- include _sync_metadata
)
SELECT * FROM opened
