-- The file goes with its row.
DELETE FROM _attachments WHERE id = :id
