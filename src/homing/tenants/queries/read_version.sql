-- Whether the directory has changed since it was last read: one row, asked by every node every few seconds.
SELECT version FROM homing_control.directory
