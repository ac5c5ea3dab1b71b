"""The coverage page is true: everything it names is there, and it names everything of specification 1's tables.

Database facts are read from the catalog of a database with the shipped migrations and the stamps of a started node.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import anyio
import psycopg
import pytest

from homing.server.app import create_app
from homing.server.node import open_node
from homing.server.routing import routes_of
from homing.settings import Settings
from tests.docs.generate import REFERENCE
from tests.docs.pages import ROOT

BEYOND = "beyond"

SPEC_1 = {
    "homing.mobile_devices": (
        "id device_id user_id device_type os_version app_version push_token status trust_score metadata last_seen"
        " created_at updated_at"
    ),
    "homing.sync_batches": (
        "id batch_token device_id client_sync_token server_sync_token status items_count created_at processed_at"
    ),
    "homing.sync_items": (
        "id batch_id client_temp_id resource_type action payload client_version server_version status error_message"
        " created_at updated_at"
    ),
    "fieldwork.submissions": "id form_id form_version data device_id status metadata created_at reviewed_at updated_at",
    "fieldwork.submission_media": (
        "id submission_id key filename content_type size_bytes gps captured_at uploaded_at created_at"
    ),
    "homing.conflicts": (
        "id resource_type resource_id server_payload client_payload resolution resolution_action resolved_by"
        " resolved_at notes created_at"
    ),
    "homing.telemetry": "id device_id metrics created_at",
    "fieldwork.mobile_forms": "id code name schema version published draft created_by created_at updated_at",
}
"""The eight tables and their columns, in the specification's order: so that a column cannot leave schema and page
together."""

SPEC_3 = {
    "homing.users": (
        "id username user_type device_id online_status last_seen enrolled_at enrollment_token_id created_at updated_at"
    ),
    "messaging.messages": "id sender_id recipient_id content status created_at updated_at synced_at read_at",
    "homing.sync_metadata": (
        "id device_id last_sync_timestamp pending_outgoing_count sync_status created_at updated_at"
    ),
    "homing.enrollment_tokens": ("id token created_by tenant_id expires_at used_at device_id created_at updated_at"),
}
"""The four tables of specification 3."""

SPEC_5 = {
    "crm.customers": "id name phone email address notes is_archived created_at updated_at",
    "crm.jobs": (
        "id title description customer_id status start_date end_date notes created_by_id created_at updated_at"
    ),
    "crm.job_assignments": "id job_id user_id assigned_at",
    "crm.materials": (
        "id job_id item_name quantity unit purchased notes added_by_id purchased_by_id purchased_at is_deleted"
        " created_at updated_at"
    ),
    "crm.job_status_history": "id job_id from_status to_status changed_by_id changed_at",
    "crm.activity_logs": "id entity_type entity_id action details user_id job_id created_at",
    "crm.sync_queue": (
        "id user_id operation entity_type entity_id payload retry_count status error created_at processed_at"
    ),
}
"""The seven tables of specification 5 that are not the core's."""

SPEC_4 = {
    "homing.mobile_sessions": "id user_id device_id platform app_version last_active created_at",
    "homing.push_notifications": "id user_id platform notification_type title body data sent_at read_at clicked_at",
}
"""Specification 4's tables that are not the marketplace's."""

SPECS = {
    **SPEC_1,
    **SPEC_3,
    **SPEC_4,
    **SPEC_5,
    # Named by two specifications.
    "homing.users": (
        SPEC_3["homing.users"] + " id email password_hash name role is_active last_login_at created_at updated_at"
        " last_platform device_tokens mobile_preferences"
    ),
}

CATALOG = """
SELECT 'table', format('%s.%s', n.nspname, c.relname), ''
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('homing', 'fieldwork', 'messaging', 'crm', 'marketplace')
UNION ALL
SELECT 'column', format('%s.%s.%s', n.nspname, c.relname, a.attname),
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('homing', 'fieldwork', 'messaging', 'crm', 'marketplace')
  AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT CASE o.contype WHEN 'p' THEN 'primary key' ELSE 'unique' END, format('%s.%s', n.nspname, c.relname),
       substring(pg_get_constraintdef(o.oid) FROM '\\((.*)\\)')
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE o.contype IN ('p', 'u')
UNION ALL
SELECT 'foreign key', format('%s.%s (%s)', n.nspname, c.relname, parts[1]), format('%s (%s)', parts[2], parts[3])
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
     regexp_match(pg_get_constraintdef(o.oid), 'FOREIGN KEY \\((.*)\\) REFERENCES (.*)\\((.*)\\)') AS parts
WHERE o.contype = 'f'
UNION ALL
SELECT 'index', format('%s.%s', schemaname, indexname), substring(indexdef FROM ' USING (.*)')
FROM pg_indexes WHERE schemaname IN ('homing', 'fieldwork', 'messaging', 'crm', 'marketplace')
UNION ALL
SELECT 'check', format('%s.%s', o.conrelid::regclass, o.conname), pg_get_constraintdef(o.oid)
FROM pg_constraint o WHERE o.contype = 'c'
UNION ALL
SELECT 'trigger', format('%s.%s', t.tgrelid::regclass, t.tgname), t.tgfoid::regproc::text
FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'enum', t.oid::regtype::text, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.oid
"""

SHORT = {"timestamp with time zone": "timestamptz", "double precision": "float8"}


@dataclass(frozen=True)
class Line:
    """One row of a table of the page. ``here`` and ``more`` are its third and fourth cell."""

    number: int
    kind: str
    said: str
    here: str
    more: str

    @property
    def place(self) -> str:
        return f"coverage.md:{self.number}: {self.kind} {self.here} {self.more}"

    @property
    def words(self) -> list[str]:
        """Everything in backticks of the two cells that name places."""
        return re.findall(r"`([^`]+)`", f"{self.here} {self.more}")


@dataclass(frozen=True)
class There:
    """What there is. ``facts``: kind, name, and what the fourth column of such a line says."""

    facts: frozenset[tuple[str, str, str]]

    @property
    def names(self) -> set[str]:
        return {name for _, name, _ in self.facts}


@cache
def lines() -> list[Line]:
    found = []
    inside = False
    for number, text in enumerate((REFERENCE / "coverage.md").read_text(encoding="utf-8").splitlines(), 1):
        cells = [cell.strip() for cell in text.strip().strip("|").split(" | ")]
        if not text.startswith("|"):
            inside = False
        elif cells == ["kind", "specification", "here", "as"]:
            inside = True
        elif inside and not text.startswith("| ---"):
            assert len(cells) == 4, f"coverage.md:{number}: {len(cells)} cells"
            found.append(Line(number, *cells))
    return found


def of_kind(kind: str) -> Iterator[tuple[Line, str, str]]:
    """Lines of a kind with the names of their third and fourth cell."""
    for line in lines():
        if line.kind == kind:
            assert len(line.words) == 2, line.place
            name, more = line.words
            yield line, name, more


def shortened(sql_type: str) -> str:
    for long, short in SHORT.items():
        sql_type = sql_type.replace(long, short)
    return sql_type


@pytest.fixture(scope="module")
def there(module_settings: Settings) -> There:
    async def routes() -> set[tuple[str, str, str]]:
        async with open_node(module_settings) as node:
            return {
                ("route", str(route), f"{route.handler.fn.__module__}.{route.handler.fn.__name__}")
                for route in routes_of(create_app(node))
            }

    facts = anyio.run(routes)
    assert module_settings.database_url is not None
    with psycopg.connect(module_settings.database_url) as conn:
        facts |= {(kind, name, shortened(more)) for kind, name, more in conn.execute(CATALOG).fetchall()}
    return There(frozenset(facts))


def test_the_page_is_read() -> None:
    """Before anything is said of its lines, that they are there."""
    kinds = {line.kind for line in lines()}
    assert kinds == {
        "table", "column", "primary key", "unique", "enum", "foreign key", "check", "trigger", "index", "route", "rule"
    }  # fmt: skip
    assert len(lines()) > 180


@pytest.mark.parametrize(
    "kind", ["column", "primary key", "unique", "enum", "foreign key", "check", "trigger", "index", "route"]
)
def test_what_the_page_names_exists_as_it_says(kind: str, there: There) -> None:
    wrong = []
    for line, name, more in of_kind(kind):
        if not any((kind, name, each) in there.facts for each in more.split(" or ")):
            real = [known for known in there.facts if known[:2] == (kind, name)]
            wrong.append(f"{line.place}: {real or 'there is none'}")
    assert wrong == []


def test_tables_exist_and_are_made_where_it_says(there: There) -> None:
    wrong = []
    for line, name, path in of_kind("table"):
        made = re.search(rf"^CREATE TABLE {re.escape(name)} \(", (ROOT / path).read_text(encoding="utf-8"), re.M)
        if ("table", name, "") not in there.facts or made is None:
            wrong.append(line.place)
    assert wrong == []


@pytest.mark.parametrize(("table", "columns"), SPECS.items(), ids=list(SPECS))
def test_what_the_specification_names_is_named_in_its_words(table: str, columns: str) -> None:
    asked = [
        (name.removeprefix(f"{table}."), line.said)
        for line, name, _ in of_kind("column")
        if name.startswith(f"{table}.") and line.said != BEYOND
    ]
    assert [name for name, _ in asked] == columns.split()
    assert [name for name, said in asked if name not in said] == []


def is_proof(word: str) -> bool:
    """A test that is there, or a page whose commands are run by tests."""
    path, _, name = word.partition("::")
    if not (ROOT / path).is_file():
        return False
    if not name:
        return path.startswith("docs/") and "```sh" in (ROOT / path).read_text(encoding="utf-8")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body)


def is_code(word: str) -> bool:
    """A module, something in one, or a file."""
    if (ROOT / word).is_file():
        return True
    parts = word.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_rules_name_what_does_them_and_what_proves_them(there: There) -> None:
    wrong = []
    for line in lines():
        if line.kind != "rule":
            continue
        doers, proofs = (re.findall(r"`([^`]+)`", cell) for cell in (line.here, line.more))
        if not doers or not proofs:
            wrong.append(f"{line.place}: it names too little")
        wrong += [f"{line.place}: {word}" for word in doers if word not in there.names and not is_code(word)]
        wrong += [f"{line.place}: {word}" for word in proofs if not is_proof(word)]
    assert wrong == []
