-- The conflict about to be resolved: of several at once, one goes on, the others then see that it is resolved.
SELECT c.resource_type, c.row_id, c.action::text, c.code, c.resolution::text, c.resolution_action::text, c.resolved_at,
       (SELECT u.username FROM homing.users u WHERE u.id = c.resolved_by), c.client_payload::text, c.server_version, c.fields, c.server_payload::text,
       c.base_payload::text
FROM homing.conflicts c
WHERE c.id = %(conflict)s FOR UPDATE OF c
