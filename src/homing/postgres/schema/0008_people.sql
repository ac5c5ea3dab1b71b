-- Spec 3's list of mobile users: who is online first, then by username.
CREATE INDEX users_mobile ON homing.users ((CASE WHEN online_status THEN 0 ELSE 1 END), lower(username)) WHERE user_type = 'mobile';
