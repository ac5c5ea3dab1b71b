-- The edit itself changes (ids that became known, a newer base); its place and status do not.
UPDATE _outbox SET row_id = :row_id, client_version = :client_version, entry = :entry WHERE op = :op
