-- Applied edits whose effect the newly pulled base does not show.
SELECT o.op, o.resource_type, o.row_id, o.action FROM _outbox o
LEFT JOIN _base b ON b.resource_type = o.resource_type AND b.id = o.row_id
WHERE o.status IN ('applied', 'settled')
  AND CASE o.action WHEN 'create' THEN b.id IS NULL
                    WHEN 'delete' THEN b.id IS NOT NULL
                    ELSE b.version < o.server_version
                         OR (b.id IS NULL AND EXISTS (SELECT 1 FROM _temp_ids t WHERE t.server_id = o.row_id)) END
ORDER BY o.seq
