DROP TABLE homing.media;
