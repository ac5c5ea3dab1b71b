-- The edit that named these files was applied.
UPDATE _attachments SET status = 'sent' WHERE op = :op AND status = 'uploaded'
