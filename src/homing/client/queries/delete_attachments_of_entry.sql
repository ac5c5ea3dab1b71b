-- The edit was given up; the sweep removes the copies of the files.
DELETE FROM _attachments WHERE op = :op
