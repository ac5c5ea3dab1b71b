-- What may be asked of a list of devices.
AND (d.created_at, d.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
AND d.status = %(status)s::homing.device_status  -- when status
AND d.user_id = %(user)s::uuid  -- when user
AND starts_with(d.app_version, %(app_version)s::text)  -- when app_version
AND d.trust_score < %(trust_below)s::float8  -- when trust_below
AND (d.last_seen IS NULL OR d.last_seen < %(unseen_since)s::timestamptz)  -- when unseen_since
