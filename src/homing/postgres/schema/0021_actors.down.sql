DROP FUNCTION homing.actor_of(integer, text);
