DROP TABLE homing.image_variants;
ALTER TABLE homing.media DROP COLUMN keep_metadata, DROP COLUMN image_state, DROP COLUMN image_problem;
