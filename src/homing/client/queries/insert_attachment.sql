-- A file was attached; its copy is complete.
INSERT INTO _attachments (id, op, resource_type, row_id, field, filename, content_type, size_bytes, sha256, details)
VALUES (:id, :op, :resource_type, :row_id, :field, :filename, :content_type, :size_bytes, :sha256, :details)
