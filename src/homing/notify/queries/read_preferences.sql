-- Somebody's switches, always one row.
SELECT coalesce(p.job_matches, true) AS "jobMatches", coalesce(p.proposal_updates, true) AS "proposalUpdates",
       coalesce(p.payment_alerts, true) AS "paymentAlerts", coalesce(p.marketing, false) AS marketing
FROM (VALUES (%(user)s::uuid)) AS u(id) LEFT JOIN homing.notification_preferences p ON p.user_id = u.id
