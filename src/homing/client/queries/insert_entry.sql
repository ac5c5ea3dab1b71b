-- A local edit, at the end of the outbox.
INSERT INTO _outbox (op, resource_type, row_id, action, client_version, together, entry)
VALUES (:op, :resource_type, :row_id, :action, :client_version, :together, :entry)
