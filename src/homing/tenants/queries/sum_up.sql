-- template: A table's rows, and the sum of their hashes: the same in whatever order they are read.
SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {table} AS t
