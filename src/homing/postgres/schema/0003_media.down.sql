DROP TABLE homing.media;
DROP FUNCTION homing.refer_to_media();
DROP FUNCTION homing.release_media();
