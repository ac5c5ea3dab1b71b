-- Audit: every change of every table, through whatever door, lands in crm.activity_logs with who, what, old and new.
-- Whole statements at a time, so that a thousand rows cost one more INSERT. updated_at and updated_by_id are left out of
-- the details: they follow from the entry itself.
--
-- Arguments of the triggers: what the rows are called, and which column names their job ('' for none). The job is put
-- down only while it is there: of what goes with a job, the trail stays.
CREATE FUNCTION crm.keep_activity() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    left_out constant text[] := '{version,changed,updated_at,updated_by_id}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO crm.activity_logs (entity_type, entity_id, action, details, user_id, job_id, created_at)
        SELECT TG_ARGV[0], n.id, 'create', jsonb_build_object('new', to_jsonb(n) - left_out), a.actor, j.id,
               clock_timestamp()
        FROM new_rows n
        CROSS JOIN (SELECT crm.acting_user() AS actor OFFSET 0) a
        LEFT JOIN crm.jobs j ON j.id = (to_jsonb(n) ->> TG_ARGV[1])::uuid;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO crm.activity_logs (entity_type, entity_id, action, details, user_id, job_id, created_at)
        SELECT TG_ARGV[0], o.id, 'delete', jsonb_build_object('old', to_jsonb(o) - left_out), a.actor, j.id,
               clock_timestamp()
        FROM old_rows o
        CROSS JOIN (SELECT crm.acting_user() AS actor OFFSET 0) a
        LEFT JOIN crm.jobs j ON j.id = (to_jsonb(o) ->> TG_ARGV[1])::uuid;
    ELSE
        INSERT INTO crm.activity_logs (entity_type, entity_id, action, details, user_id, job_id, created_at)
        SELECT TG_ARGV[0], d.id, 'update', jsonb_build_object('old', d.old, 'new', d.new), a.actor, j.id,
               clock_timestamp()
        FROM (
            SELECT n.id, (to_jsonb(n) ->> TG_ARGV[1])::uuid AS job_id,
                   (SELECT jsonb_object_agg(f.key, to_jsonb(o) -> f.key) FROM jsonb_each(to_jsonb(n) - left_out) f
                    WHERE f.value IS DISTINCT FROM to_jsonb(o) -> f.key) AS old,
                   (SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(to_jsonb(n) - left_out) f
                    WHERE f.value IS DISTINCT FROM to_jsonb(o) -> f.key) AS new
            FROM new_rows n JOIN old_rows o ON o.id = n.id
        ) d
        CROSS JOIN (SELECT crm.acting_user() AS actor OFFSET 0) a
        LEFT JOIN crm.jobs j ON j.id = d.job_id
        WHERE d.new IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION crm.refuse_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% is audited row by row: delete the rows instead', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    audited record;
BEGIN
    FOR audited IN
        SELECT * FROM (VALUES ('customers', 'customer', ''), ('jobs', 'job', 'id'),
                              ('job_assignments', 'job_assignment', 'job_id'), ('materials', 'material', 'job_id'),
                              ('job_status_history', 'job_status_history', 'job_id')) AS t (name, entity, job)
    LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_activity_insert AFTER INSERT ON crm.%I REFERENCING NEW TABLE AS new_rows'
            ' FOR EACH STATEMENT %s EXECUTE FUNCTION crm.keep_activity(%L, %L)', audited.name,
            -- What track_job_status_change writes is told by the job's own entry.
            CASE WHEN audited.name = 'job_status_history' THEN 'WHEN (pg_trigger_depth() = 0)' ELSE '' END,
            audited.entity, audited.job);
        EXECUTE format(
            'CREATE TRIGGER keep_activity_update AFTER UPDATE ON crm.%I REFERENCING OLD TABLE AS old_rows'
            ' NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.keep_activity(%L, %L)',
            audited.name, audited.entity, audited.job);
        EXECUTE format(
            'CREATE TRIGGER keep_activity_delete AFTER DELETE ON crm.%I REFERENCING OLD TABLE AS old_rows'
            ' FOR EACH STATEMENT EXECUTE FUNCTION crm.keep_activity(%L, %L)',
            audited.name, audited.entity, audited.job);
        -- Rows written under session_replication_role = replica count too.
        EXECUTE format('ALTER TABLE crm.%I ENABLE ALWAYS TRIGGER keep_activity_insert,'
            ' ENABLE ALWAYS TRIGGER keep_activity_update, ENABLE ALWAYS TRIGGER keep_activity_delete', audited.name);
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON crm.%I FOR EACH STATEMENT'
            ' EXECUTE FUNCTION crm.refuse_truncate()', audited.name);
    END LOOP;
END $$;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON crm.activity_logs
    FOR EACH STATEMENT EXECUTE FUNCTION crm.refuse_truncate();

-- The API's role adds to the trail and changes nothing of it. By trigger, not by REVOKE: homing.let_api_in grants rights
-- on whole schemas, also on partitions made later. What goes with a deleted job goes by its foreign key, as the owner.
CREATE FUNCTION crm.append_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF current_user = 'homing_api' THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON crm.activity_logs
    FOR EACH ROW EXECUTE FUNCTION crm.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON crm.job_status_history
    FOR EACH ROW EXECUTE FUNCTION crm.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON crm.job_activities
    FOR EACH ROW EXECUTE FUNCTION crm.append_only();

-- The spec lets a job's entries go with the job (ON DELETE CASCADE), and asks for a trail of all changes: so before a
-- job goes, its entries let go of it, and stay.
CREATE FUNCTION crm.let_trail_go() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE crm.activity_logs SET job_id = NULL WHERE job_id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER let_trail_go BEFORE DELETE ON crm.jobs FOR EACH ROW EXECUTE FUNCTION crm.let_trail_go();
ALTER TABLE crm.jobs ENABLE ALWAYS TRIGGER let_trail_go;

CREATE FUNCTION crm.show_activity() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO crm.job_activities (id, job_id, entity_type, entity_id, action, details, user_id, created_at)
    SELECT id, job_id, entity_type, entity_id, action, details, user_id, created_at
    FROM new_rows WHERE job_id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER show_activity AFTER INSERT ON crm.activity_logs REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm.show_activity();
ALTER TABLE crm.activity_logs ENABLE ALWAYS TRIGGER show_activity;

-- For the job that runs every day. How many partitions were made, from the month of `today` to three months on.
CREATE FUNCTION crm.make_partitions(today date DEFAULT current_date) RETURNS integer LANGUAGE sql AS $$
    SELECT homing.make_partitions('crm.activity_logs', 3, today)
         + homing.make_partitions('crm.sync_queue_completed', 3, today)
$$;

-- Drop partitions that end at `before` or earlier, however long they are, and what is older in the default ones and on
-- devices; how many were dropped. Operations that are not completed stay: somebody has to look at them.
CREATE FUNCTION crm.drop_partitions(before timestamptz) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS name
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('crm.activity_logs'::regclass, 'crm.sync_queue_completed'::regclass)
          AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %s', part.name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM crm.activity_logs_default WHERE created_at < before;
    DELETE FROM crm.sync_queue_completed_default WHERE created_at < before;
    DELETE FROM crm.job_activities WHERE created_at < date_trunc('month', before, 'UTC');
    RETURN dropped;
END $$;

SELECT crm.make_partitions(current_date);
