-- The latest changes of all tables between two moments. Times are summarized, not ordered, by the index (0014_console):
-- whoever asks widens the span until it holds a page. A line that ends in "when" stays only where that filter is asked
-- for (homing/postgres/lines.py). The actions are lines of their own: removals are few, and have an index (0017_pages).
-- Whether a table has any is asked with an order: EXISTS would read all of the history, expecting one soon.
SELECT h.table_id, h.row_id, h.version, h.action::text AS action, h.changes::text AS changes, h.actor, u.name AS by,
       d.device_id AS device, h.at, h.xid::text AS xid
FROM (SELECT c.table_id, c.row_id, c.version, c.action, c.changes, c.actor, c.device_id, c.at, c.xid FROM homing.history c
      WHERE c.at >= %(since)s::timestamptz AND c.at < %(until)s::timestamptz
        AND (SELECT k.version FROM homing.history k WHERE k.table_id = %(table_id)s::int ORDER BY k.row_id, k.version LIMIT 1) IS NOT NULL  -- when table_id
        AND c.table_id = %(table_id)s::int  -- when table_id
        AND c.action = 'create'  -- when create
        AND c.action = 'update'  -- when update
        AND c.action = 'delete'  -- when delete
        AND c.actor = %(actor)s::text  -- when actor
        AND (c.at, c.table_id, c.row_id, c.version) < (%(after_at)s::timestamptz, %(after_table)s::int, %(after_row)s::text, %(after_version)s::int)  -- when after
      ORDER BY c.at DESC, c.table_id DESC, c.row_id DESC, c.version DESC LIMIT %(limit)s) h
LEFT JOIN homing.users u ON u.id = CASE WHEN h.actor ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN h.actor::uuid END
LEFT JOIN homing.mobile_devices d ON d.id = h.device_id
ORDER BY h.at DESC, h.table_id DESC, h.row_id DESC, h.version DESC
