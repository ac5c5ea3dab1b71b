-- The role the API uses: it reads and writes rows and changes nothing else, and row-level security holds for it. Nodes
-- sign in as whoever owns the tables and act as this role in everything they do for a client (homing/postgres/roles.py).
-- A role belongs to the whole server: other databases may have made it, or be making it at this moment.
DO $$
BEGIN
    IF to_regrole('homing_api') IS NULL THEN
        BEGIN
            CREATE ROLE homing_api NOLOGIN NOINHERIT NOBYPASSRLS;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role homing_api is missing and % may not make it: let an administrator run '
                    'CREATE ROLE homing_api NOLOGIN; GRANT homing_api TO %', current_user, quote_ident(current_user);
        END;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND NOT pg_has_role(current_user, 'homing_api', 'MEMBER') THEN
        EXECUTE format('GRANT homing_api TO %I', current_user);
    END IF;
END $$;

-- Lets the API's role at the rows of a schema, and of tables made in it later. Safe to call again.
CREATE FUNCTION homing.let_api_in(schemas text[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('homing grants', 0));
    FOREACH name IN ARRAY schemas LOOP
        CONTINUE WHEN to_regnamespace(quote_ident(name)) IS NULL;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO homing_api', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO homing_api', name);
        EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO homing_api', name);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO homing_api', name);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE ON SEQUENCES TO homing_api', name);
    END LOOP;
    -- What happened cannot be unwritten, keys are not the API's to make, and an epoch begins by an operator's hand.
    IF 'homing' = ANY (schemas) THEN
        REVOKE UPDATE, DELETE ON homing.history, homing.sync_item_history FROM homing_api;
        REVOKE INSERT, UPDATE, DELETE ON homing.keys, homing.epoch, homing.quotas FROM homing_api;
    END IF;
END $$;

SELECT homing.let_api_in('{homing}');

-- On whose behalf the API acts, for policies. NULL, empty and anything that is no user's id: nobody. No SET clause: with
-- one, PostgreSQL would not inline it; the body is resolved here and now, whatever the caller's search_path.
CREATE FUNCTION homing.current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN current_setting('homing.actor', true) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN current_setting('homing.actor', true)::uuid END;
