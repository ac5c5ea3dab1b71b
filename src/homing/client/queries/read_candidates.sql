-- Edits without a final verdict in the order they were made, with what may keep them back: temp ids they name that
-- have no answer, files that are not uploaded.
SELECT o.op, o.resource_type, o.row_id, o.action, o.status, o.together,
       (SELECT json_group_array(n.temp_id) FROM _needs n JOIN _temp_ids t ON t.temp_id = n.temp_id
        WHERE n.op = o.op AND t.server_id IS NULL) AS unmet,
       EXISTS (SELECT 1 FROM _attachments a WHERE a.op = o.op AND a.status IN ('waiting', 'presigned', 'failed')) AS waits
FROM _outbox o WHERE o.status IN ('queued', 'in_flight', 'held') AND o.seq <= :until
ORDER BY o.seq
