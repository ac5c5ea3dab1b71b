"""What is demanded of a submission on its way in, from a device or from the web.

A submission is judged by the form version it was filled in with, set by set: one query finds the versions that a batch
names, and one more fetches schemas that this process has not compiled yet, which after a minute is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from homing.apps.fieldwork import forms
from homing.apps.fieldwork.names import as_uuid
from homing.declare import Edit, Who
from homing.postgres.sql import Connection, fetch_all, load

_VALIDATORS = forms.Validators()


@dataclass(frozen=True, slots=True)
class Named:
    """The form version that a submission names; without a version, the form's current one."""

    form_id: UUID
    version: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """A form that was published, and its version of that name: None where it has none."""

    id: UUID | None
    version: str | None


async def judge(conn: Connection, edits: Sequence[Edit], who: Who) -> None:
    """Refuse edits that their form version does not allow; complete ``form_version``."""
    judged: list[tuple[Edit, Named, Any]] = []
    # Rows as the batch's own edits leave them: what an update stands on may have come just before it.
    standing: dict[str | None, Mapping[str, Any]] = {}
    for edit in edits:
        before = standing.get(edit.row_id) or edit.old or {}
        if edit.action == "update" and who.role != "OWNER" and before.get("status", "pending") != "pending":
            edit.refuse("check_failed", f"the submission was {before['status']}; only the office can change it now")
            continue
        after = standing[edit.row_id] = {**before, **edit.values}
        if edit.action != "delete" and (named := _named(edit, after)) is not None:
            judged.append((edit, named, after.get("data")))
    found = await _find_versions(conn, {named for _, named, _ in judged})
    validators = await _validators(conn, {v.id for v in found.values() if v.id is not None})
    for edit, named, data in judged:
        version = found.get(named)
        if version is None:
            # A form that is only a draft is nobody's business: the same words as for no form.
            edit.refuse("fk_missing", "there is no such form", "/form_id")
        elif version.id is None:
            edit.refuse("fk_missing", f"the form has no version {named.version!r}", "/form_version")
        else:
            if edit.action == "create":
                edit.values["form_version"] = version.version
            if faults := forms.data_faults(validators[version.id], data):
                edit.refuse("invalid_value", forms.sentence(faults), faults[0].path)


def _named(edit: Edit, after: Mapping[str, Any]) -> Named | None:
    """The version to judge by; None where nothing needs judging, or no form is given (refused like any column that
    needs a value)."""
    if edit.action == "update" and not edit.values.keys() & {"data", "form_id", "form_version"}:
        return None
    form, version = as_uuid(after.get("form_id")), after.get("form_version")
    return Named(form, version) if form is not None else None


async def _find_versions(conn: Connection, names: set[Named]) -> dict[Named, Version]:
    if not names:
        return {}
    ordered = list(names)
    params = {"forms": [named.form_id for named in ordered], "versions": [named.version for named in ordered]}
    rows = await fetch_all(conn, load(__package__, "find_versions"), params)
    return {ordered[n]: Version(version_id, version) for n, version_id, version in rows}


async def _validators(conn: Connection, ids: set[UUID]) -> dict[UUID, forms.Validator]:
    # Held here for the batch: a batch that names more versions than are kept must not lose the first ones again.
    held = {version_id: kept for version_id in ids if (kept := _VALIDATORS.get(version_id)) is not None}
    missing = list(ids - held.keys())
    if missing:
        for version_id, schema in await fetch_all(conn, load(__package__, "read_schemas"), {"ids": missing}):
            held[version_id] = _VALIDATORS.add(version_id, schema)
    return held
