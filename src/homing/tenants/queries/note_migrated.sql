-- What the tenant's migrations reached. Nodes that have it open with an older schema open it anew.
UPDATE homing_control.tenants SET schema_version = %(version)s, migrated_at = now(), last_error = NULL
WHERE name = %(name)s
