-- The server answered the create.
INSERT INTO _temp_ids (temp_id, resource_type, server_id) VALUES (:temp_id, :resource_type, :server_id)
ON CONFLICT (temp_id) DO UPDATE SET server_id = excluded.server_id
