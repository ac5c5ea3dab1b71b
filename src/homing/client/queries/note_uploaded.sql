-- The whole file is in the store; its edit can travel.
UPDATE _attachments SET status = 'uploaded' WHERE id = :id
