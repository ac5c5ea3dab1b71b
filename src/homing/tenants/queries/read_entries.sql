-- Every tenant with its hosts, or the one of a name. There are thousands at most, and nodes keep all of them.
SELECT t.name, t.database_name, t.database_url, t.status, t.reason, t.quotas::text, t.schema_version, t.migrated_at,
    t.last_error, t.created_at, t.updated_at,
    array(SELECT h.host FROM homing_control.hosts h WHERE h.tenant = t.name ORDER BY h.host) AS hosts
FROM homing_control.tenants t
WHERE %(name)s::text IS NULL OR t.name = %(name)s::text
ORDER BY t.name
