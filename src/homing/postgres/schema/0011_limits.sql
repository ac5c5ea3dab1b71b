-- Rates: who has taken how many permits lately (homing/accounts/rates.py). Counted, not remembered: a crash of PostgreSQL
-- empties the table, and everybody begins anew. Keys are keyed hashes, so nobody's address stands here.
CREATE UNLOGGED TABLE homing.rate_counts (
    key bytea PRIMARY KEY,
    seconds integer NOT NULL,                   -- the rate's window, of which a slot is a fifteenth
    slot bigint NOT NULL,                       -- the newest slot, counted from 1970
    taken integer[] NOT NULL                    -- permits taken in it and in the fifteen before it, the newest first
) WITH (fillfactor = 50);                       -- updated again and again, in the same page

-- Permits for each key: as many as are asked at most, a quarter of what is left at most, one at least, none when there is
-- none. `spent` counts what a node let pass without asking; `backs` are permits of `slots` that it did not use. `slot` and `lasts`: the permits are good in this slot, for so
-- many seconds. `rest`: what is left for others and later. `wait`: seconds until the oldest counted permits count no more.
-- A permit counts for the slot it was taken in and the fifteen after it: a whole window at least, a fifteenth more at most.
CREATE FUNCTION homing.take_permits(keys bytea[], quotas integer[], windows integer[], spent integer[],
                                    slots bigint[], backs integer[], most integer)
RETURNS TABLE (place bigint, granted integer, slot bigint, lasts double precision, rest integer, wait double precision)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    asked record;
    known record;
    counts integer[];
    width double precision;
    at double precision;
    used integer;
    oldest integer;
BEGIN
    -- In the order of the keys, here and in give_back_permits, so that no two wait for each other.
    FOR asked IN SELECT a.* FROM unnest(keys, quotas, windows, spent, slots, backs) WITH ORDINALITY
                         AS a(key, quota, seconds, spent, slot, back, place) ORDER BY a.key LOOP
        LOOP
            SELECT c.slot, c.taken INTO known FROM homing.rate_counts c WHERE c.key = asked.key FOR UPDATE;
            EXIT WHEN FOUND;
            INSERT INTO homing.rate_counts (key, seconds, slot, taken) VALUES (asked.key, asked.seconds, 0, '{}')
            ON CONFLICT DO NOTHING;
        END LOOP;
        width := asked.seconds / 15.0;
        at := extract(epoch FROM clock_timestamp());    -- now that the row is ours: no earlier than anybody before us
        slot := greatest(floor(at / width)::bigint, known.slot);
        counts := array_fill(0, ARRAY[least(slot - known.slot, 16)::integer])
            || known.taken[1:16 - least(slot - known.slot, 16)::integer];
        counts := counts || array_fill(0, ARRAY[16 - cardinality(counts)]);
        counts[1] := counts[1] + asked.spent;
        IF asked.back > 0 AND slot - asked.slot BETWEEN 0 AND 15 THEN
            counts[slot - asked.slot + 1] := greatest(counts[slot - asked.slot + 1] - asked.back, 0);
        END IF;
        used := (SELECT sum(n) FROM unnest(counts) AS n);
        granted := CASE WHEN used >= asked.quota THEN 0
                        ELSE least(greatest((asked.quota - used) / 4, 1), most) END;
        counts[1] := counts[1] + granted;
        UPDATE homing.rate_counts c SET seconds = asked.seconds, slot = take_permits.slot, taken = counts
        WHERE c.key = asked.key;
        oldest := (SELECT max(i) FROM generate_subscripts(counts, 1) AS i WHERE counts[i] > 0);
        place := asked.place;
        lasts := (slot + 1) * width - at;
        rest := greatest(asked.quota - used - granted, 0);
        wait := coalesce((slot - oldest + 17) * width - at, 0);
        RETURN NEXT;
    END LOOP;
END $$;

-- Permits that nobody used, back to the slot they were taken in.
CREATE FUNCTION homing.give_back_permits(keys bytea[], slots bigint[], backs integer[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM homing.rate_counts c WHERE c.key = ANY (keys) ORDER BY c.key FOR UPDATE;
    UPDATE homing.rate_counts c
    SET taken[(c.slot - b.slot + 1)::integer] = greatest(c.taken[(c.slot - b.slot + 1)::integer] - b.back, 0)
    FROM unnest(keys, slots, backs) AS b(key, slot, back)
    WHERE c.key = b.key AND c.slot - b.slot BETWEEN 0 AND 15;
END $$;

-- The secret of keyed hashes: of whom a rate counts, of a device's fingerprint.
ALTER TABLE homing.keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE homing.keys ADD CONSTRAINT keys_purpose_check
    CHECK (purpose IN ('access', 'token', 'media', 'identity', 'fingerprint'));

-- How devices are used (spec 4): one row a device, for whoever uses it now. last_active is written when somebody signs in,
-- registers or refreshes, not with each request: as exact as an access token lives long.
CREATE TABLE homing.mobile_sessions (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    user_id uuid NOT NULL REFERENCES homing.users (id) ON DELETE CASCADE,
    device_id text NOT NULL CONSTRAINT mobile_sessions_device_id_key UNIQUE
        REFERENCES homing.mobile_devices (device_id) ON DELETE CASCADE,
    platform varchar(20) NOT NULL,
    app_version varchar(20) NOT NULL,
    last_active timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mobile_sessions_user ON homing.mobile_sessions (user_id);
CREATE INDEX mobile_sessions_active ON homing.mobile_sessions (last_active);
INSERT INTO homing.mobile_sessions (user_id, device_id, platform, app_version, last_active, created_at)
SELECT user_id, device_id, left(lower(device_type), 20), left(app_version, 20), coalesce(last_seen, created_at), created_at
FROM homing.mobile_devices WHERE user_id IS NOT NULL;

-- Being seen on another platform is not being changed.
DROP TRIGGER update_users_updated_at ON homing.users;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON homing.users
    FOR EACH ROW WHEN (OLD.last_seen IS NOT DISTINCT FROM NEW.last_seen
                       AND OLD.online_status IS NOT DISTINCT FROM NEW.online_status
                       AND OLD.last_platform IS NOT DISTINCT FROM NEW.last_platform)
    EXECUTE FUNCTION homing.update_updated_at_column();

-- The machine behind a device's name, as a keyed hash. What was kept in clear goes: the next one told is the first.
ALTER TABLE homing.mobile_devices
    ADD COLUMN fingerprint bytea CHECK (octet_length(fingerprint) = 32),
    ADD COLUMN fingerprint_at timestamptz;      -- when it was first told, or last another one
UPDATE homing.mobile_devices SET metadata = metadata - 'fingerprint' WHERE metadata ? 'fingerprint';

-- What happened to a device.
CREATE TABLE homing.device_events (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    device_id uuid NOT NULL REFERENCES homing.mobile_devices (id) ON DELETE CASCADE,
    kind text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    user_id uuid REFERENCES homing.users (id) ON DELETE SET NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX device_events_newest ON homing.device_events (device_id, id DESC);
CREATE INDEX device_events_user ON homing.device_events (user_id) WHERE user_id IS NOT NULL;
REVOKE UPDATE ON homing.device_events FROM homing_api;
