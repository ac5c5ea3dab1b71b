-- A tenant that is being created. One whose creation was cut off, or that was dropped, is begun again.
INSERT INTO homing_control.tenants (name, database_name, database_url, quotas)
VALUES (%(name)s, %(database_name)s, %(database_url)s, %(quotas)s::jsonb)
ON CONFLICT (name) DO UPDATE SET
    database_name = EXCLUDED.database_name, database_url = EXCLUDED.database_url, quotas = EXCLUDED.quotas,
    status = 'creating', reason = NULL, schema_version = NULL, migrated_at = NULL, last_error = NULL
WHERE tenants.status IN ('creating', 'dropped')
