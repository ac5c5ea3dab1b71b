-- Attachments, all or of one status.
SELECT a.id, a.op, a.resource_type, a.row_id, a.field, a.filename, a.content_type, a.size_bytes, a.sha256, a.status,
       a.upload, a.error
FROM _attachments a LEFT JOIN _outbox o ON o.op = a.op
WHERE :status IS NULL OR a.status = :status
ORDER BY o.seq, a.id
