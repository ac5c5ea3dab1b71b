-- The conflict about to be resolved: of several at once, one goes on, the others then see that it is resolved.
SELECT c.resource_type, c.row_id, c.action::text, c.code, c.resolution::text, c.resolution_action::text, c.resolved_at,
       u.username, c.client_payload::text, c.server_version, c.fields, c.server_payload::text
FROM homing.conflicts c LEFT JOIN homing.users u ON u.id = c.resolved_by
WHERE c.id = %(conflict)s FOR UPDATE OF c
