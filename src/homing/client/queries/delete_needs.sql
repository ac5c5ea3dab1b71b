-- The entry is gone, or names other rows now.
DELETE FROM _needs WHERE op = :op
