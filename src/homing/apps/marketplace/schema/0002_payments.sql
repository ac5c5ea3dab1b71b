-- Payments: what clients pay freelancers for accepted proposals. No card is ever here, and no secret of a gateway's.

-- How far a payment is. It only goes forward, so that events in any order end in the same status; `succeeded` is last,
-- because then money moved, whatever was said before.
CREATE FUNCTION marketplace.payment_rank(status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_position('{created,requires_payment,processing,failed,canceled,succeeded}'::text[], status);

CREATE TABLE marketplace.payments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- No cascade: a payment that was asked for keeps its proposal and both people.
    proposal_id uuid NOT NULL REFERENCES marketplace.proposals (id),
    client_id uuid NOT NULL REFERENCES homing.users (id),
    freelancer_id uuid NOT NULL REFERENCES homing.users (id),
    amount_cents bigint NOT NULL CONSTRAINT payments_amount CHECK (amount_cents BETWEEN 1 AND 99999999),
    currency varchar(3) NOT NULL CONSTRAINT payments_currency CHECK (currency ~ '^[A-Z]{3}$'),
    status varchar(20) NOT NULL DEFAULT 'created'
        CONSTRAINT payments_status CHECK (marketplace.payment_rank(status) IS NOT NULL),
    gateway varchar(20) NOT NULL CONSTRAINT payments_gateway CHECK (gateway IN ('stripe', 'sandbox')),
    gateway_id text CONSTRAINT payments_gateway_id CHECK (octet_length(gateway_id) <= 255),
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CONSTRAINT payments_others CHECK (freelancer_id <> client_id),
    CONSTRAINT payments_settled CHECK ((settled_at IS NOT NULL) = (status IN ('canceled', 'succeeded')))
);
-- However many devices of a client ask at once, one proposal has one payment that can still be confirmed.
CREATE UNIQUE INDEX payments_open ON marketplace.payments (proposal_id) WHERE status NOT IN ('canceled', 'succeeded');
CREATE UNIQUE INDEX payments_of_gateway ON marketplace.payments (gateway, gateway_id);
CREATE INDEX payments_of_proposal ON marketplace.payments (proposal_id);
CREATE INDEX payments_of_client ON marketplace.payments (client_id, created_at DESC, id DESC);
CREATE INDEX payments_of_freelancer ON marketplace.payments (freelancer_id, created_at DESC, id DESC);
CREATE INDEX payments_listed ON marketplace.payments (created_at DESC, id DESC);
CREATE TRIGGER update_payments_updated_at BEFORE UPDATE ON marketplace.payments
    FOR EACH ROW EXECUTE FUNCTION homing.update_updated_at_column();

-- For every writer: what was agreed stays, and a status never goes back.
CREATE FUNCTION marketplace.keep_payment() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF marketplace.payment_rank(NEW.status) < marketplace.payment_rank(OLD.status) THEN
        RAISE EXCEPTION 'a payment that is % does not become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_forward', TABLE = 'payments',
                  SCHEMA = 'marketplace', COLUMN = 'status';
    END IF;
    IF (NEW.proposal_id, NEW.client_id, NEW.freelancer_id, NEW.amount_cents, NEW.currency, NEW.gateway)
       IS DISTINCT FROM (OLD.proposal_id, OLD.client_id, OLD.freelancer_id, OLD.amount_cents, OLD.currency, OLD.gateway)
       OR NEW.gateway_id IS DISTINCT FROM coalesce(OLD.gateway_id, NEW.gateway_id) THEN
        RAISE EXCEPTION 'what a payment is for does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_kept', TABLE = 'payments', SCHEMA = 'marketplace';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_payment BEFORE UPDATE ON marketplace.payments
    FOR EACH ROW EXECUTE FUNCTION marketplace.keep_payment();

-- Who asked for a payment, from where: each request that was not just another try of one before.
CREATE TABLE marketplace.payment_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES marketplace.payments (id) ON DELETE CASCADE,
    client_id uuid NOT NULL REFERENCES homing.users (id),
    idempotency_key varchar(255),
    body_hash bytea NOT NULL,
    platform varchar(20) NOT NULL,
    device_fingerprint bytea,
    device_id uuid REFERENCES homing.mobile_devices (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_requests_key UNIQUE (client_id, idempotency_key)
);
CREATE INDEX payment_requests_payment ON marketplace.payment_requests (payment_id);
CREATE INDEX payment_requests_device ON marketplace.payment_requests (device_id) WHERE device_id IS NOT NULL;
-- Without a key, what is asked is the key.
CREATE UNIQUE INDEX payment_requests_body ON marketplace.payment_requests (payment_id, client_id, body_hash)
    WHERE idempotency_key IS NULL;

-- The events that gateways sent about our payments, each once.
CREATE TABLE marketplace.payment_events (
    gateway varchar(20) NOT NULL,
    event_id varchar(255) NOT NULL,
    payment_id uuid NOT NULL REFERENCES marketplace.payments (id) ON DELETE CASCADE,
    event_type varchar(100) NOT NULL,
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, event_id)
);
CREATE INDEX payment_events_payment ON marketplace.payment_events (payment_id);
