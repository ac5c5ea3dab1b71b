-- Spec 3, "Create mobile user". No password: this person signs in by this device only.
INSERT INTO homing.users
    (id, username, email, name, role, user_type, device_id, enrolled_at, enrollment_token_id, last_platform)
VALUES (%(id)s, %(username)s, %(email)s, %(name)s, %(role)s, 'mobile', %(device)s, now(), %(enrollment)s, 'mobile')
