DROP TABLE marketplace.refunds;
DROP FUNCTION marketplace.count_refund();
DROP FUNCTION marketplace.refund_rank(text);
ALTER TABLE marketplace.payments DROP COLUMN refunded_cents;
