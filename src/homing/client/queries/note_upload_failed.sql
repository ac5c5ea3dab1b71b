-- The file can never be uploaded.
UPDATE _attachments SET status = 'failed', error = :error WHERE id = :id
