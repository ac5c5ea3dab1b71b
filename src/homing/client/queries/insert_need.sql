-- An entry names a temp id.
INSERT INTO _needs (op, temp_id) VALUES (:op, :temp_id) ON CONFLICT DO NOTHING
