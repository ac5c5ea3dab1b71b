-- Answered, or taken apart.
DELETE FROM _batches WHERE batch_token = :batch_token
