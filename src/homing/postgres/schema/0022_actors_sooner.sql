-- Who wrote a row last, as before (0021), with an end to the hour: partitions of months to come need no look.
CREATE OR REPLACE FUNCTION homing.actor_of(of_table integer, of_row text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT h.actor FROM homing.history AS h
            WHERE h.table_id = of_table AND h.row_id = of_row
              AND h.at > now() - interval '1 hour' AND h.at < now() + interval '1 day'
            ORDER BY h.version DESC LIMIT 1);
END $$;
