-- The hosts of a tenant go, before others come or for good.
DELETE FROM homing_control.hosts WHERE tenant = %(name)s
