-- Spec 3's list of mobile users: who is online first, then by username.
CREATE INDEX users_mobile ON homing.users ((NOT online_status), lower(username)) WHERE user_type = 'mobile';
