-- Attachments travel with the edit that replaces theirs. Uploads that a refused item named are named again.
UPDATE _attachments SET op = :to, status = CASE status WHEN 'sent' THEN 'uploaded' WHEN 'failed' THEN 'waiting' ELSE status END
WHERE op = :op
