-- The row will never be made.
DELETE FROM _temp_ids WHERE temp_id = :temp_id AND server_id IS NULL
