-- What else may be asked of a list of customers.
AND c.is_archived = false  -- when active
AND c.is_archived = true  -- when archived
AND (c.updated_at, c.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid)  -- when after
