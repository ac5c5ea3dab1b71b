-- Monthly partitions of a table that end before the cutoff, by their names parent_YYYYMM.
SELECT format('%%I.%%I', n.nspname, c.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = %(parent)s::text::regclass AND c.relname ~ '_[0-9]{6}$'
  AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= %(cutoff)s
ORDER BY c.relname
