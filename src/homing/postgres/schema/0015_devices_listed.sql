-- Devices are listed by when they came, newest first, a page at a time.
CREATE INDEX mobile_devices_listed ON homing.mobile_devices (created_at DESC, id DESC);
