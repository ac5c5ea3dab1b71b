DROP SCHEMA homing_control CASCADE;
