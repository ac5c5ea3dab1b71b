-- After a complete pull: an applied edit is settled once the base shows it, or the row is gone. If the base is still
-- older (a pull served by a copy that lags behind), the edit stays visible for one more pull, not for ever.
UPDATE _outbox
SET passes = passes + 1,
    status = CASE WHEN passes >= 1 OR NOT EXISTS (
        SELECT 1 FROM _base b
        WHERE b.resource_type = _outbox.resource_type AND b.id = _outbox.row_id
          AND CASE action WHEN 'delete' THEN b.version <= max(client_version, coalesce(server_version, 0))
                          ELSE b.version < server_version END)
        THEN 'settled' ELSE 'applied' END
WHERE status = 'applied'
