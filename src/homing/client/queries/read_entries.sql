-- Entries by status, oldest first.
SELECT seq, op, resource_type, row_id, action, client_version, together, entry, status, item, batch_token, tries,
       server_id, server_version, merged, conflict_id, code, error, server_payload, answered_at
FROM _outbox WHERE status = :status ORDER BY seq
