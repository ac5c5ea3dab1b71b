"""Every word by which a column of the database may say how something stands has a tone, in all four applications."""

from __future__ import annotations

import re

import msgspec
import psycopg
import pytest

from homing.cli.demo import APPS
from homing.console.tones import TONES, tone_of
from homing.settings import Settings
from tests.fixtures.server import serving

WORDS_OF = """
    SELECT a.attname, t.typname, e.enumlabel::text, NULL::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    JOIN pg_type t ON t.oid = a.atttypid JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE a.attname ~ '(status|state|resolution|resolution_action)$'
    UNION ALL
    SELECT a.attname, c.relname, pg_get_constraintdef(k.oid), pg_get_functiondef(f.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
    LEFT JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
        AND d.refclassid = 'pg_proc'::regclass
    LEFT JOIN pg_proc f ON f.oid = d.refobjid
    WHERE k.contype = 'c' AND a.attname ~ '(status|state)$' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
"""
"""Labels of enums; and of columns of text what their CHECK says, or the function that it calls."""


@pytest.fixture(scope="module")
def words(module_settings: Settings) -> set[str]:
    settings = msgspec.structs.replace(module_settings, apps=APPS)
    with serving(settings), psycopg.connect(settings.database_url or "") as conn:
        rows = conn.execute(WORDS_OF).fetchall()
    found = set()
    for _, _, text, function in rows:
        if not text.startswith("CHECK"):
            found.add(text)
            continue
        for literal in re.findall(r"'([^']*)'", f"{text} {function or ''}"):
            found |= set(literal.strip("{}").split(","))
    return {word for word in found if re.fullmatch(r"[A-Za-z_]+", word)}


def test_every_status_word_of_the_database_has_a_tone(words: set[str]) -> None:
    # One of each source: an enum, a list in a CHECK, a function that a CHECK calls, the queue of jobs.
    assert {"submitted", "accepted", "WAITING_ON_MATERIALS", "pending_sync", "requires_payment", "aborted"} <= words
    assert {word for word in words if word.lower() not in TONES} == set()


def test_a_word_has_its_tone_in_whatever_capitals() -> None:
    assert [tone_of(word) for word in ("ACCEPTED", "waiting on materials", "Rejected", "never heard of")] == [
        "good",
        "warn",
        "bad",
        "neutral",
    ]
