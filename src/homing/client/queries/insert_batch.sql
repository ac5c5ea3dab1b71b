-- A batch is written down before it is sent, whole: a lost answer is asked for again with exactly this.
INSERT INTO _batches (batch_token, batch) VALUES (:batch_token, :batch)
