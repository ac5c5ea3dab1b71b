-- The row of a retried create has another temp id now.
UPDATE _needs SET temp_id = :new WHERE temp_id = :old
