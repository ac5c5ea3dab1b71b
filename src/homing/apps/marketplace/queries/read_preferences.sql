-- What somebody wants to be told, and their app's own settings.
SELECT coalesce(n.job_matches, true), coalesce(n.proposal_updates, true), coalesce(n.payment_alerts, true),
       coalesce(n.marketing, false), u.mobile_preferences
FROM homing.users u LEFT JOIN homing.notification_preferences n ON n.user_id = u.id
WHERE u.id = %(user)s::uuid
