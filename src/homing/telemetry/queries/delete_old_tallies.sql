-- How requests went long ago.
DELETE FROM homing.request_tallies WHERE hour < %(before)s
