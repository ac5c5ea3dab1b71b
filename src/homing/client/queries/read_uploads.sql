-- Files that queued edits wait for, in the order of the edits.
SELECT a.id, a.op, a.resource_type, a.row_id, a.field, a.filename, a.content_type, a.size_bytes, a.sha256, a.status,
       a.upload, a.error
FROM _attachments a JOIN _outbox o ON o.op = a.op
WHERE a.status IN ('waiting', 'presigned') AND o.status = 'queued'
ORDER BY o.seq, a.id
