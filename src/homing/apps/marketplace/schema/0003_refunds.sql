-- Refunds: what of a payment goes back. Parts are possible; together never more than was paid, whoever writes.
ALTER TABLE marketplace.payments ADD COLUMN refunded_cents bigint NOT NULL DEFAULT 0
    CONSTRAINT payments_refunded CHECK (refunded_cents BETWEEN 0 AND amount_cents);

-- `requested`: written down, the gateway has not answered yet. `failed` is last: a bank may send money back that was on
-- its way, or had arrived.
CREATE FUNCTION marketplace.refund_rank(status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position('{requested,pending,succeeded,failed}'::text[], status);

CREATE TABLE marketplace.refunds (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    payment_id uuid NOT NULL REFERENCES marketplace.payments (id),
    amount_cents bigint NOT NULL CONSTRAINT refunds_amount CHECK (amount_cents > 0),
    status varchar(20) NOT NULL DEFAULT 'requested'
        CONSTRAINT refunds_status CHECK (marketplace.refund_rank(status) IS NOT NULL),
    reason varchar(500),
    gateway_id text CONSTRAINT refunds_gateway_id CHECK (octet_length(gateway_id) <= 255),
    error text,
    requested_by uuid REFERENCES homing.users (id),         -- NULL: at the gateway
    idempotency_key varchar(255),
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CONSTRAINT refunds_key UNIQUE (requested_by, idempotency_key),
    CONSTRAINT refunds_settled CHECK ((settled_at IS NOT NULL) = (status IN ('succeeded', 'failed')))
);
CREATE UNIQUE INDEX refunds_of_gateway ON marketplace.refunds (payment_id, gateway_id);
CREATE INDEX refunds_listed ON marketplace.refunds (payment_id, created_at DESC, id DESC);
CREATE INDEX refunds_open ON marketplace.refunds (created_at) WHERE status IN ('requested', 'pending');

-- The payment's row is locked by this, so that two refunds at once see each other; its check says when it is too much.
CREATE FUNCTION marketplace.count_refund() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND ((NEW.payment_id, NEW.amount_cents) IS DISTINCT FROM (OLD.payment_id, OLD.amount_cents)
        OR marketplace.refund_rank(NEW.status) < marketplace.refund_rank(OLD.status)) THEN
        RAISE EXCEPTION 'a refund keeps its amount, and its status goes forward'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_forward', TABLE = 'refunds', SCHEMA = 'marketplace';
    END IF;
    UPDATE marketplace.payments p
    SET refunded_cents = p.refunded_cents
        + CASE WHEN NEW.status <> 'failed' THEN NEW.amount_cents ELSE 0 END
        - CASE WHEN TG_OP = 'UPDATE' AND OLD.status <> 'failed' THEN OLD.amount_cents ELSE 0 END
    WHERE p.id = NEW.payment_id AND (TG_OP = 'INSERT' OR (NEW.status = 'failed') <> (OLD.status = 'failed'));
    RETURN NEW;
END $$;
CREATE TRIGGER count_refund BEFORE INSERT OR UPDATE ON marketplace.refunds
    FOR EACH ROW EXECUTE FUNCTION marketplace.count_refund();
