-- What the payload of an edit says of its files.
SELECT field, key, filename, details FROM _attachments WHERE op = :op AND key IS NOT NULL ORDER BY id
