"""A yard of boxes, books and signs, with every kind of scope, and the truth about it told by SQL of its own.

The truth is asked in two ways. *Now*: the tables as they are, for tests in which nobody else runs. *As of a snapshot*:
a trigger of the yard's own writes every state of every row (and of every right) into ``yard.past`` with its
transaction, so the tables can be made again as any token's snapshot saw them. Neither uses anything of the engine.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from homing.declare import ALL, App
from tests.engine.world import World, opened

SCHEMA = """
CREATE SCHEMA yard;
-- What a user may hold beside their role: kind 'team' (integers), 'size' (integers), 'shelf' (texts), 'hot' ('hot').
CREATE TABLE yard.grants (user_id uuid, kind text, key text, PRIMARY KEY (user_id, kind, key));
CREATE TABLE yard.boxes (
    id integer PRIMARY KEY,
    team integer,
    other integer,
    hot boolean NOT NULL DEFAULT false,
    weight integer NOT NULL DEFAULT 0,
    note text
);
CREATE TABLE yard.books (id text PRIMARY KEY, shelf text NOT NULL, note text);
CREATE TABLE yard.signs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), note text);

CREATE TABLE yard.past (
    n bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    what text NOT NULL,
    id text NOT NULL,
    state jsonb,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE FUNCTION yard.remember() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    INSERT INTO yard.past (what, id, state)
    VALUES (TG_TABLE_NAME, concat_ws('/', told ->> 'id', told ->> 'user_id', told ->> 'kind', told ->> 'key'),
            to_jsonb(NEW));
    RETURN NULL;
END $$;
CREATE FUNCTION yard.remember_none() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO yard.past (what, id) SELECT DISTINCT p.what, p.id FROM yard.past p WHERE p.what = TG_TABLE_NAME;
    RETURN NULL;
END $$;
CREATE INDEX past_latest ON yard.past (what, id, n DESC);
"""

REMEMBER = "\n".join(
    f"CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION yard.remember();"
    for table in ("yard.grants", "yard.boxes", "yard.books", "yard.signs", "homing.users")
)
REMEMBER += "CREATE TRIGGER remember_none AFTER TRUNCATE ON yard.signs EXECUTE FUNCTION yard.remember_none();"

NOW = """
WITH boxes AS (SELECT * FROM yard.boxes), books AS (SELECT * FROM yard.books), signs AS (SELECT * FROM yard.signs),
     grants AS (SELECT * FROM yard.grants), users AS (SELECT * FROM homing.users)
"""

AS_OF = """
WITH latest AS (
    SELECT DISTINCT ON (what, id) what, state FROM yard.past
    WHERE pg_visible_in_snapshot(xid, %(snapshot)s::pg_snapshot) ORDER BY what, id, n DESC
),
live AS MATERIALIZED (SELECT what, state FROM latest WHERE state IS NOT NULL),
boxes AS (SELECT r.* FROM live, jsonb_populate_record(NULL::yard.boxes, state) r WHERE what = 'boxes'),
books AS (SELECT r.* FROM live, jsonb_populate_record(NULL::yard.books, state) r WHERE what = 'books'),
signs AS (SELECT r.* FROM live, jsonb_populate_record(NULL::yard.signs, state) r WHERE what = 'signs'),
grants AS (SELECT r.* FROM live, jsonb_populate_record(NULL::yard.grants, state) r WHERE what = 'grants'),
users AS (SELECT r.* FROM live, jsonb_populate_record(NULL::homing.users, state) r WHERE what = 'users')
"""

RIGHTS = """
, mine AS (SELECT kind, key FROM grants WHERE user_id = %(user)s),
office AS (SELECT 1 FROM users WHERE id = %(user)s AND role = 'OWNER')
"""

SCOPES = """
, mine AS (SELECT split_part(scope, ':', 1) kind, regexp_replace(scope, '^[^:]*:', '') key
           FROM unnest(%(scopes)s::text[]) full_name, regexp_replace(full_name, '^yard[.]', '') scope),
office AS (SELECT FROM mine WHERE kind = 'office')
"""

HELD = """
SELECT 'box', b.id::text, b.version, to_jsonb(b) - 'version' - 'changed' FROM boxes b
WHERE EXISTS (SELECT FROM office)
   OR b.team IN (SELECT key::integer FROM mine WHERE kind = 'team')
   OR b.other IN (SELECT key::integer FROM mine WHERE kind = 'team')
   OR (b.hot AND EXISTS (SELECT FROM mine WHERE kind = 'hot'))
   OR (b.weight > 0 AND b.weight - b.weight / 4 * 4 IN (SELECT key::integer FROM mine WHERE kind = 'size'))
UNION ALL
SELECT 'book', k.id, k.version, to_jsonb(k) - 'version' - 'changed' FROM books k
WHERE EXISTS (SELECT FROM office) OR k.shelf IN (SELECT key FROM mine WHERE kind = 'shelf')
UNION ALL
SELECT 'sign', s.id::text, s.version, to_jsonb(s) - 'version' - 'changed' FROM signs s
"""


def yard() -> App:
    app = App("yard")
    app.scope("everybody", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s")
    app.scope("office", held_by="SELECT 'all' FROM homing.users WHERE id = %(user)s AND role = 'OWNER'")
    app.scope("team", held_by="SELECT key::integer FROM yard.grants WHERE user_id = %(user)s AND kind = 'team'")
    app.scope("size", held_by="SELECT key::integer FROM yard.grants WHERE user_id = %(user)s AND kind = 'size'")
    app.scope("shelf", held_by="SELECT key FROM yard.grants WHERE user_id = %(user)s AND kind = 'shelf'")
    app.scope("hot", held_by="SELECT key FROM yard.grants WHERE user_id = %(user)s AND kind = 'hot'")
    app.table(
        "boxes",
        in_scopes={
            "office": "'all'",
            "team": ("team", "other"),
            "size": "CASE WHEN weight > 0 THEN weight - weight / 4 * 4 END",
            "hot": "CASE WHEN hot THEN 'hot' END",
        },
        write={"OWNER": ALL},
        resource_type="box",
    )
    app.table("books", in_scopes={"office": "'all'", "shelf": "shelf"}, write={"OWNER": ALL})
    app.table("signs", in_scopes={"everybody": "'all'"}, write={"OWNER": ALL})
    return app


@asynccontextmanager
async def open_yard(url: str) -> AsyncIterator[World]:
    """A yard on a fresh database at ``url``."""
    async with opened(url, []) as bare:
        await bare.execute(SCHEMA)
    async with opened(url, [yard()]) as world:
        await world.execute(REMEMBER)
        yield world


Rows = dict[tuple[str, str], tuple[int, dict[str, Any]]]


async def now(world: World, user: UUID) -> Rows:
    """What this user's devices should hold, by the tables as they are."""
    return _rows(await world.execute(NOW + RIGHTS + HELD, {"user": user}))


async def as_of(world: World, user: UUID, snapshot: str) -> Rows:
    """What they should hold by everything that ``snapshot`` saw."""
    return _rows(await world.execute(AS_OF + RIGHTS + HELD, {"user": user, "snapshot": snapshot}))


async def of_scopes(world: World, scopes: Iterable[str], snapshot: str) -> Rows:
    """What ``snapshot`` saw of these scopes, whoever held them then."""
    return _rows(await world.execute(AS_OF + SCOPES + HELD, {"scopes": list(scopes), "snapshot": snapshot}))


def _rows(rows: list[Any]) -> Rows:
    return {(what, row_id): (version, payload) for what, row_id, version, payload in rows}
