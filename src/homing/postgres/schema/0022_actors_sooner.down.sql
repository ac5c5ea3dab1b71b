CREATE OR REPLACE FUNCTION homing.actor_of(of_table integer, of_row text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT h.actor FROM homing.history AS h
            WHERE h.table_id = of_table AND h.row_id = of_row AND h.at > now() - interval '1 hour'
            ORDER BY h.version DESC LIMIT 1);
END $$;
