-- How often the server failed on a batch.
SELECT tries FROM _batches WHERE batch_token = :batch_token
