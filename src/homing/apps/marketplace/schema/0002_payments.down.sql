DROP TABLE marketplace.payment_events;
DROP TABLE marketplace.payment_requests;
DROP TABLE marketplace.payments;
DROP FUNCTION marketplace.keep_payment();
DROP FUNCTION marketplace.payment_rank(text);
