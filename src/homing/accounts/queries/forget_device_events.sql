-- Of each device the newest events stay.
DELETE FROM homing.device_events e USING (
    SELECT id, row_number() OVER (PARTITION BY device_id ORDER BY id DESC) AS place FROM homing.device_events
) placed
WHERE e.id = placed.id AND placed.place > %(kept)s
