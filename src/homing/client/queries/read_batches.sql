-- Batches without a final answer, oldest first.
SELECT batch_token, batch FROM _batches ORDER BY number
