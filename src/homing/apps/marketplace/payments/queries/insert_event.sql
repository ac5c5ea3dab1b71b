-- Keep an event; nothing where it came before.
INSERT INTO marketplace.payment_events (gateway, event_id, payment_id, event_type, sent_at)
VALUES (%(gateway)s, %(event)s, %(payment)s, %(type)s, to_timestamp(%(sent)s::bigint))
ON CONFLICT DO NOTHING
