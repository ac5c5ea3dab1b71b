-- In another line of transaction ids, what was news in the old one: stamps from the future would be told in every round.
WITH decisions AS (
    UPDATE homing.conflicts SET settled = NULL WHERE settled > pg_current_xact_id()
), notifications AS (
    UPDATE homing.push_notifications SET caused = NULL WHERE caused > pg_current_xact_id()
)
UPDATE homing.presence SET changed = pg_current_xact_id() WHERE changed > pg_current_xact_id()
