-- A batch as it travels.
SELECT client_sync_token, atomic, ops, items, tries FROM _batches WHERE batch_token = :batch_token
