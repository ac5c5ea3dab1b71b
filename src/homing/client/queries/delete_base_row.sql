-- The row left.
DELETE FROM _base WHERE resource_type = ? AND id = ?
