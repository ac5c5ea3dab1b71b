"""The rules that applications offer to replicas (``CHECKS``) are those that the server runs, and stand any value."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.cli._rules import rules_of
from homing.declare import App, Edit, Refusal
from homing.media import open_store

APPS = ("crm", "fieldwork", "marketplace", "messaging")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
LIKELY = st.sampled_from(["IN_PROGRESS", "LOST", "open", "submitted", "2026-05-01", "NaN", "-1e400", "7", "", " "])
COLUMNS = (
    *("status", "start_date", "end_date", "title", "item_name", "quantity", "purchased", "purchased_by_id"),
    *("purchased_at", "name", "address", "content", "metadata", "bio", "skills", "description", "cover_letter"),
    *("budget_min_cents", "budget_max_cents"),
)
VALUES = st.dictionaries(st.sampled_from(COLUMNS), JSON | LIKELY)


def declared(name: str, folder: Path) -> App:
    app = import_module(f"homing.apps.{name}").declare(open_store(None, data_dir=folder, bytes_max=1))
    assert isinstance(app, App)
    return app


@pytest.mark.parametrize("name", APPS)
def test_every_check_of_the_server_is_offered_to_replicas(name: str, tmp_path: Path) -> None:
    tables = declared(name, tmp_path).tables
    on_the_server = {table.full_type: table.checks for table in tables if table.checks}
    assert {kind: tuple(rules) for kind, rules in rules_of([name]).items()} == on_the_server


@pytest.mark.parametrize(("kind", "rules"), sorted(rules_of(APPS).items()))
@given(values=VALUES, old=st.none() | VALUES)
def test_no_value_is_too_much_for_a_rule(kind: str, rules: Any, values: Any, old: Any) -> None:
    """A replica runs them on what a person typed, before anybody looked at its type."""
    for action in ("create", "update", "delete"):
        edit = Edit(table=kind, action=action, row_id="1", values=dict(values), old=old)  # type: ignore[arg-type]
        for rule in rules:
            assert isinstance(rule(edit), Refusal | None)


def test_an_application_of_somebody_elses_is_imported_only_when_the_person_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vineyard.py").write_text("CHECKS = {'vineyard.barrel': ()}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delenv("HOMING_APPS", raising=False)
    assert rules_of(["vineyard", "os", "..crm", ""]) == {}
    assert "vineyard" not in sys.modules
    monkeypatch.setenv("HOMING_APPS", "vineyard, crm")
    try:
        assert rules_of(["vineyard"]) == {"vineyard.barrel": ()}
    finally:
        sys.modules.pop("vineyard", None)
