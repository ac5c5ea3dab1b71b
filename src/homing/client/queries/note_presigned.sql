-- A place for the upload was given.
UPDATE _attachments SET status = 'presigned', key = :key, upload = :upload WHERE id = :id
