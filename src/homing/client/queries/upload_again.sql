-- The server does not have the files this edit named: to a new place with them.
UPDATE _attachments SET status = 'waiting', key = NULL, upload = NULL WHERE op = :op
