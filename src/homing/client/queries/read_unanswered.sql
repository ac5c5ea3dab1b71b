-- Batches without a final answer, oldest first.
SELECT batch_token FROM _batches ORDER BY number
