-- Operations of a device that have a binding verdict: as which action and payload they were judged.
SELECT i.client_temp_id, i.action::text, i.payload::text
FROM homing.mobile_devices d
JOIN homing.sync_items i ON i.device_id = d.id AND i.client_temp_id = ANY (%(keys)s::text[])
    AND i.status <> 'error' AND NOT i.again
WHERE d.device_id = %(device)s::text AND d.user_id = %(user)s::uuid
