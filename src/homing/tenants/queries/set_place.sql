-- Where the tenant's database is from now on, and that it is served again.
UPDATE homing_control.tenants
SET database_name = %(database_name)s, database_url = %(database_url)s, status = 'active', last_error = NULL
WHERE name = %(name)s AND status = 'moving'
