-- Why the last migration or move of the tenant failed.
UPDATE homing_control.tenants SET last_error = left(%(error)s, 2000) WHERE name = %(name)s
