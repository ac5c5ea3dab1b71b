-- Keep operations in the order in which they were given: a microsecond apart, as all of them come at one instant.
INSERT INTO crm.sync_queue (user_id, operation, entity_type, entity_id, payload, created_at)
SELECT %(user)s, o.operation, o.entity_type, o.entity_id, o.payload,
       clock_timestamp() + o.n * interval '1 microsecond'
FROM ROWS FROM (jsonb_to_recordset(%(given)s::text::jsonb)
    AS (operation text, entity_type text, entity_id uuid, payload jsonb)) WITH ORDINALITY
    AS o (operation, entity_type, entity_id, payload, n)
ORDER BY o.n
RETURNING id
