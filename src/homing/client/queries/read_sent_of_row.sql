-- Files of a row that no edit needs any more.
SELECT id FROM _attachments WHERE resource_type = :resource_type AND row_id = :row_id AND status = 'sent'
