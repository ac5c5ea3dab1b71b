-- A synced table got its name; it stays.
INSERT INTO _tables (resource_type, name) VALUES (:resource_type, :name) ON CONFLICT DO NOTHING
