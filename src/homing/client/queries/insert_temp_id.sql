-- A row made here, known by this name until the server has answered.
INSERT INTO _temp_ids (temp_id, resource_type) VALUES (:temp_id, :resource_type) ON CONFLICT DO NOTHING
