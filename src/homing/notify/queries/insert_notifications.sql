-- A notification for each of these people who is there and wants to be told of such things; how many.
WITH made AS (
    INSERT INTO homing.push_notifications (user_id, platform, notification_type, title, body, data, collapse,
                                           seconds, urgent)
    SELECT u.id,
           coalesce((SELECT t.platform FROM homing.push_tokens t WHERE t.user_id = u.id
                     ORDER BY t.renewed_at DESC LIMIT 1), 'web'),
           %(type)s::text, %(title)s::text, %(body)s::text, %(data)s::text::jsonb, %(collapse)s::text,
           %(seconds)s, %(urgent)s
    FROM homing.users u
    LEFT JOIN homing.notification_preferences p ON p.user_id = u.id
    WHERE u.id = ANY (%(users)s::uuid[]) AND u.is_active
      AND CASE %(preference)s::text
              WHEN 'jobMatches' THEN coalesce(p.job_matches, true)
              WHEN 'proposalUpdates' THEN coalesce(p.proposal_updates, true)
              WHEN 'paymentAlerts' THEN coalesce(p.payment_alerts, true)
              WHEN 'marketing' THEN coalesce(p.marketing, false)
              ELSE true
          END
    ORDER BY u.id
    RETURNING id
)
SELECT count(*) FROM made
