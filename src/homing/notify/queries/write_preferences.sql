-- Somebody's switches, all of them.
INSERT INTO homing.notification_preferences (user_id, job_matches, proposal_updates, payment_alerts, marketing)
VALUES (%(user)s, %(jobMatches)s, %(proposalUpdates)s, %(paymentAlerts)s, %(marketing)s)
ON CONFLICT (user_id) DO UPDATE SET
    job_matches = excluded.job_matches, proposal_updates = excluded.proposal_updates,
    payment_alerts = excluded.payment_alerts, marketing = excluded.marketing, updated_at = now()
