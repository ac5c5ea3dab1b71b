"""Stamps: how every write to a synced table leaves its mark, whoever writes.

A synced table has two columns of ours beside its own:

``version``  integer, 1 when the row is made, +1 on every update;
``changed``  xid8, the transaction that last wrote the row.

Both are kept by a BEFORE trigger, so the API, a web backend and psql all count, and the table itself is the feed: no
log, no join when reading. On insert the columns' defaults are right already; the trigger's WHEN only lets it run for a
writer who sets them to something else, so a plain insert pays no PL/pgSQL call. A row that is brought back after a
delete is inserted with version 0: it goes on counting where it was, so no edit of its former life passes for a new one.

What left needs a place of its own: a delete, or an update that moves a row to another scope key, writes
``homing.departures``. One entry a scope key and row; the latest counts. The statement-level triggers see whole sets of
rows, so history and departures cost one statement each however many rows are written.

The triggers are ENABLE ALWAYS (rows written under session_replication_role = replica count too), and TRUNCATE changes
the epoch: every device starts again, because which rows went is not known row by row.

Whatever a synced row's key is, it never changes: the trigger refuses it.
"""

from __future__ import annotations

import hashlib

from psycopg import AsyncConnection, sql

from homing.engine.tables import CHANGED, BoundTable, ScopeKey

_STAMP = """
CREATE OR REPLACE FUNCTION {stamp}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.{version} := coalesce((SELECT max(h.version) + 1 FROM homing.history h
                                   WHERE h.table_id = {id} AND h.row_id = NEW.{key}::text), 1);
    ELSE
        IF NEW.{key} IS DISTINCT FROM OLD.{key} THEN
            RAISE EXCEPTION 'the key of a synced row cannot change' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        NEW.{version} := OLD.{version} + 1;
    END IF;
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END $body$
"""

_CREATED = """
CREATE OR REPLACE FUNCTION {created}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO homing.history (table_id, row_id, version, action, actor, device_id, batch_id)
    SELECT {id}, homing_new.{key}::text, homing_new.{version}, 'create', {actor}, {device}, {batch}
    FROM new_rows AS homing_new;
    RETURN NULL;
END $body$
"""

_UPDATED = """
CREATE OR REPLACE FUNCTION {updated}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO homing.history (table_id, row_id, version, action, changes, actor, device_id, batch_id)
    SELECT {id}, homing_new.{key}::text, homing_new.{version}, 'update',
           homing.changed_fields(to_jsonb(homing_old) - {left_out}::text[], to_jsonb(homing_new) - {left_out}::text[]),
           {actor}, {device}, {batch}
    FROM new_rows AS homing_new JOIN old_rows AS homing_old ON homing_old.{key} = homing_new.{key};
    RETURN NULL;
END $body$
"""

_MOVED = """
CREATE OR REPLACE FUNCTION {moved}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO homing.departures (scope, table_id, row_id, xid)
    SELECT DISTINCT d.scope, {id}, OLD.{key}::text, pg_current_xact_id()
    FROM ({old_scopes}) AS d(scope)
    WHERE d.scope IS NOT NULL AND d.scope NOT IN (
        SELECT s.scope FROM ({new_scopes}) AS s(scope) WHERE s.scope IS NOT NULL)
    ON CONFLICT (scope, table_id, row_id) DO UPDATE SET xid = excluded.xid;
    RETURN NULL;
END $body$
"""

_DELETED = """
CREATE OR REPLACE FUNCTION {deleted}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO homing.departures (scope, table_id, row_id, xid)
    SELECT DISTINCT d.scope, {id}, d.row_id, pg_current_xact_id()
    FROM ({all_scopes}) AS d(scope, row_id) WHERE d.scope IS NOT NULL
    ON CONFLICT (scope, table_id, row_id) DO UPDATE SET xid = excluded.xid;
    INSERT INTO homing.history (table_id, row_id, version, action, changes, actor, device_id, batch_id)
    SELECT {id}, homing_old.{key}::text, homing_old.{version}, 'delete',
           (SELECT jsonb_object_agg(e.key, jsonb_build_array(e.value))
            FROM jsonb_each(to_jsonb(homing_old) - {left_out}::text[]) e),
           {actor}, {device}, {batch}
    FROM old_rows AS homing_old;
    RETURN NULL;
END $body$
"""

_TRUNCATED = """
CREATE OR REPLACE FUNCTION {truncated}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    UPDATE homing.epoch SET epoch = gen_random_uuid(), since = now(), reason = 'truncate of {name_text}';
    RETURN NULL;
END $body$
"""

_ACTOR = "coalesce(nullif(current_setting('homing.actor', true), ''), 'outside')"
_DEVICE = "nullif(current_setting('homing.device', true), '')::uuid"
_BATCH = "nullif(current_setting('homing.batch', true), '')::uuid"


def _function(table: BoundTable, word: str) -> sql.Composable:
    return sql.Identifier("homing", f"{word}_{table.id}")


def _scope_sql(key: ScopeKey, row: str) -> sql.Composable:
    """The scope of a row as text, ``app.scope:key``, NULL where the key is NULL. The sub-select gives the expression a
    FROM of its own in which only the row's columns are in sight."""
    return sql.SQL("(SELECT {name} || (({expression})::text) FROM (SELECT {row}.*) AS homing_row)").format(
        name=sql.Literal(f"{key.scope}:"),
        expression=sql.SQL(key.expression),
        row=sql.SQL(row),
    )


def _parts(table: BoundTable) -> dict[str, sql.Composable]:
    key = sql.Identifier(table.key.name)
    return {
        "id": sql.Literal(table.id),
        "key": key,
        "version": table.version_sql,
        "table": table.qualified,
        "name_text": sql.SQL(table.name.replace("'", "").replace("$", "")),
        "left_out": sql.Literal([table.version, CHANGED]),
        "actor": sql.SQL(_ACTOR),
        "device": sql.SQL(_DEVICE),
        "batch": sql.SQL(_BATCH),
        "old_scopes": sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}").format(_scope_sql(k, "OLD")) for k in table.scope_keys
        ),
        "new_scopes": sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}").format(_scope_sql(k, "NEW")) for k in table.scope_keys
        ),
        "all_scopes": sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, homing_old.{}::text FROM old_rows AS homing_old").format(
                _scope_sql(k, "homing_old"), key
            )
            for k in table.scope_keys
        ),
        **{word: _function(table, word) for word in ("stamp", "created", "updated", "moved", "deleted", "truncated")},
    }


def _moved_when(table: BoundTable) -> sql.Composable | None:
    """The trigger's WHEN may hold no sub-select, so it compares the columns that scope keys are made of: a constant key
    never moves."""
    columns = sorted({c for key in table.scope_keys if not key.constant for c in _columns_of(table, key)})
    if not columns:
        return None
    return sql.SQL(" OR ").join(
        sql.SQL("OLD.{0} IS DISTINCT FROM NEW.{0}").format(sql.Identifier(column)) for column in columns
    )


def _columns_of(table: BoundTable, key: ScopeKey) -> list[str]:
    """Columns whose name stands in the expression. Too many is harmless: the function compares the keys themselves."""
    every = [*table.columns, *table.hidden]
    return [column for column in every if column in key.expression]


def statements(table: BoundTable) -> list[sql.Composed]:
    """The functions and triggers of one table, in order. Running them again replaces them."""
    parts = _parts(table)
    made = [sql.SQL(text).format(**parts) for text in (_STAMP, _CREATED, _UPDATED, _MOVED, _DELETED, _TRUNCATED)]
    moved_when = _moved_when(table)
    triggers: list[tuple[str, str]] = [
        (
            "homing_stamp_insert",
            (
                "BEFORE INSERT ON {table} FOR EACH ROW"
                " WHEN (NEW.{version} IS DISTINCT FROM 1 OR NEW.changed IS DISTINCT FROM pg_current_xact_id())"
                " EXECUTE FUNCTION {stamp}()"
            ),
        ),
        ("homing_stamp_update", "BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {stamp}()"),
        (
            "homing_created",
            "AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {created}()",
        ),
        (
            "homing_updated",
            (
                "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"
                " EXECUTE FUNCTION {updated}()"
            ),
        ),
        (
            "homing_deleted",
            "AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION {deleted}()",
        ),
        ("homing_truncated", "AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {truncated}()"),
    ]
    if moved_when is not None:
        triggers.append(
            ("homing_moved", "AFTER UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {moved}()")
        )
    if moved_when is not None:
        parts["when"] = moved_when
    for name, text in triggers:
        # "zz" last: the stamp must see what the table's own BEFORE triggers did, and those run in order of name.
        trigger = sql.Identifier(f"zz_{name}")
        made.append(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(trigger, table.qualified))
        made.append(sql.SQL("CREATE TRIGGER {} " + text).format(trigger, **parts))
        made.append(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(table.qualified, trigger))
    for number, key in enumerate(table.scope_keys):
        if not key.constant:
            made.append(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (({}), changed, {})").format(
                    sql.Identifier(f"homing_{table.id}_{number}_{_short(key.expression)}"),
                    table.qualified,
                    sql.SQL(key.expression),
                    sql.Identifier(table.key.name),
                )
            )
    made.append(
        # Partial, though every row is in it, so that only the feed that says so is planned with it (feeds.py).
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (changed, {}) WHERE {} >= 1").format(
            sql.Identifier(f"homing_{table.id}_changed"),
            table.qualified,
            sql.Identifier(table.key.name),
            table.version_sql,
        )
    )
    return made


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


async def add_columns(conn: AsyncConnection, table: BoundTable) -> None:
    """Add the two stamp columns where they are missing. A constant default, so that no table is rewritten; existing
    rows count as changed by this transaction, so every device gets them."""
    cursor = await conn.execute("SELECT pg_current_xact_id()::text")
    row = await cursor.fetchone()
    assert row is not None
    await conn.execute(
        sql.SQL(
            "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {version} integer NOT NULL DEFAULT 1,"
            " ADD COLUMN IF NOT EXISTS changed xid8 NOT NULL DEFAULT {now}"
        ).format(table=table.qualified, version=table.version_sql, now=sql.Literal(row[0]))
    )
    await conn.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN changed SET DEFAULT pg_current_xact_id()").format(table.qualified)
    )


def digest(table: BoundTable) -> bytes:
    """Of the triggers' text: at start, tables whose triggers are of another declaration get new ones."""
    text = "\n".join(statement.as_string(None) for statement in statements(table))
    return hashlib.sha256(text.encode()).digest()
