-- The conflict copy of a row that left; the user's own edit stays.
UPDATE _outbox SET server_payload = NULL WHERE resource_type = ? AND row_id = ? AND server_payload IS NOT NULL
