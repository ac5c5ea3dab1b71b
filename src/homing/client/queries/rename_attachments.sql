-- The row an attachment belongs to has its real id now.
UPDATE _attachments SET row_id = :new WHERE resource_type = :resource_type AND row_id = :old
