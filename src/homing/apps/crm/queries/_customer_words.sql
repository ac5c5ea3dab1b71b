-- Whether a customer has these words in name and address, or a phone that begins so.
(to_tsvector('english', c.name || ' ' || COALESCE(c.address, '')) @@ plainto_tsquery('english', %(q)s::text) OR (lower(c.phone::text) ~>=~ lower(%(q)s::text) AND lower(c.phone::text) ~<~ (lower(%(q)s::text) || chr(1114111))))
