-- Rows of the tables being replaced that the server did not send again: they are gone.
SELECT b.resource_type, b.id FROM _base b
WHERE (:all OR b.resource_type IN (SELECT value FROM json_each(:tables)))
  AND NOT EXISTS (SELECT 1 FROM _staged s
                  WHERE s.resource_type = b.resource_type AND s.id = b.id AND s.payload IS NOT NULL)
ORDER BY b.resource_type
