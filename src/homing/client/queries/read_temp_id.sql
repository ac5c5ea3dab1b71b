-- What a temp id stands for.
SELECT resource_type, server_id FROM _temp_ids WHERE temp_id = :temp_id
