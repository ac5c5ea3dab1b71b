-- The spec's customer search, as places (when changed, id): words of name and address, or the beginning of a phone
-- number. A line that ends in "when" stays only where that filter is asked for (homing/postgres/lines.py). The phone is a
-- range of an index in byte order, not ILIKE: a prepared ILIKE can use no index, and % in a number means nothing.
--
-- For a word that every fourth customer has, all of those would be read to show the latest twenty. So the indexes are
-- asked for a thousand, in no order. Where there are fewer, they are all there are, and are sorted. Where there are more,
-- the latest thousand customers are walked until the page is full, with such a word soon. Only a word that is common but
-- not among the latest is read whole. Each of the three gives the same page.
WITH few AS MATERIALIZED (
    SELECT c.updated_at, c.id
    FROM crm.customers c
    WHERE
      -- include _customer_words
      -- include _customer_filters
    LIMIT 1000
),
latest AS MATERIALIZED (
    SELECT c.updated_at, c.id
    FROM (
        SELECT c.updated_at, c.id, c.name, c.address, c.phone
        FROM crm.customers c
        WHERE (SELECT count(*) FROM few) = 1000
          -- include _customer_filters
        ORDER BY c.updated_at DESC, c.id DESC
        LIMIT 1000
    ) c
    WHERE
      -- include _customer_words
    ORDER BY c.updated_at DESC, c.id DESC
    LIMIT %(limit)s
),
found AS (
    SELECT updated_at, id FROM few WHERE (SELECT count(*) FROM few) < 1000
    UNION ALL
    SELECT updated_at, id FROM latest WHERE (SELECT count(*) FROM latest) = %(limit)s
    UNION ALL
    SELECT c.updated_at, c.id
    FROM crm.customers c
    WHERE (SELECT count(*) FROM few) = 1000
      AND (SELECT count(*) FROM latest) < %(limit)s
      AND
        -- include _customer_words
      -- include _customer_filters
)
SELECT f.updated_at::text, f.id
FROM found f
ORDER BY f.updated_at DESC, f.id DESC
LIMIT %(limit)s
