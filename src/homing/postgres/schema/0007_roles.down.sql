-- The role stays: other databases of this server may use it.
DROP FUNCTION homing.current_user_id();
DROP FUNCTION homing.let_api_in(text[]);
ALTER DEFAULT PRIVILEGES IN SCHEMA homing REVOKE ALL ON TABLES FROM homing_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA homing REVOKE ALL ON SEQUENCES FROM homing_api;
REVOKE ALL ON ALL TABLES IN SCHEMA homing FROM homing_api;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA homing FROM homing_api;
REVOKE ALL ON SCHEMA homing FROM homing_api;
