-- The hosts of a tenant. The primary key keeps two tenants from having the same one.
INSERT INTO homing_control.hosts (host, tenant) SELECT unnest(%(hosts)s::text[]), %(name)s
