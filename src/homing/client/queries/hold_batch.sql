-- The server holds it for review: asked for again in the next sync, with the same token.
UPDATE _batches SET held = 1 WHERE batch_token = :batch_token
