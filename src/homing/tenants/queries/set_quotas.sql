-- The tenant's quotas, all of them at once.
UPDATE homing_control.tenants SET quotas = %(quotas)s::jsonb WHERE name = %(name)s
