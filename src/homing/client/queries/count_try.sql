-- The server failed on this batch.
UPDATE _batches SET tries = tries + 1 WHERE batch_token = :batch_token
