-- One device as answers show it.
-- include _device_shown
WHERE d.id = %(id)s
