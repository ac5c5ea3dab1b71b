-- Who wrote a row last, if that was within the hour: bounded in time, so that one month of the history is looked at and
-- not all. A function, because a statement that names a partitioned table locks every partition whenever it is run, and
-- a round of live delivery, which once named the history for each synced table, mostly finds nothing at all.
CREATE FUNCTION homing.actor_of(of_table integer, of_row text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT h.actor FROM homing.history AS h
            WHERE h.table_id = of_table AND h.row_id = of_row AND h.at > now() - interval '1 hour'
            ORDER BY h.version DESC LIMIT 1);
END $$;
