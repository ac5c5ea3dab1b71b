"""A form's way from a draft to a published version.

Drafts are the office's: any JSON object, kept in ``mobile_forms.draft_schema``, which no device ever sees. Publishing
checks the draft, makes it the form's schema and keeps it for ever as a version, because submissions that were filled in
with it may arrive at any time.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from psycopg import errors
from psycopg.types.json import Jsonb

from homing.apps.fieldwork import forms
from homing.apps.fieldwork.names import named_form
from homing.engine.caller import Caller
from homing.postgres.lines import load_with
from homing.postgres.sql import Connection, execute, fetch_one, load
from homing.protocol.errors import Problem

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
VersionName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
Code = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class NewForm(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /forms``. The schema may be anything until it is published."""

    code: Code
    name: Name
    schema: dict[str, Any]


class FormChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``PATCH /forms/{id}``. ``schema`` replaces the draft. ``published: false`` withdraws the form from devices, true
    offers again what was published last."""

    name: Name | None = None
    schema: dict[str, Any] | None = None
    published: bool | None = None


class Publish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /forms/{id}/publish``. Without a version, the next free one of v1, v2, …"""

    version: VersionName | None = None


async def find_form(conn: Connection, caller: Caller, form: str) -> UUID:
    """The id of a form the caller sees, by id or code. Raises Problem("not_found")."""
    return await _find(conn, "find_form", caller, form)


async def find_form_of_versions(conn: Connection, caller: Caller, form: str) -> UUID:
    """The id of a form whose versions the caller sees. Raises Problem("not_found")."""
    return await _find(conn, "find_form_of_versions", caller, form)


async def create_form(conn: Connection, caller: Caller, new: NewForm) -> UUID:
    """Raises Problem: already_exists, invalid_value, too_large."""
    _insist_on_size(new.schema)
    params = {"code": new.code, "name": new.name, "schema": Jsonb(new.schema), "user": caller.user_id}
    try:
        row = await fetch_one(conn, load(__package__, "insert_form"), params)
    except errors.UniqueViolation as error:
        raise Problem("already_exists", f"There is a form with the code {new.code!r}.") from error
    except errors.CheckViolation as error:
        raise Problem("invalid_value", "code: a form's code must not look like an id.", path="/code") from error
    assert row is not None
    form_id: UUID = row[0]
    return form_id


async def change_form(conn: Connection, form_id: UUID, change: FormChange) -> None:
    """Raises Problem: state_conflict, too_large."""
    if change.schema is not None:
        _insist_on_size(change.schema)
    params = {
        "form_id": form_id,
        "name": change.name,
        "schema": Jsonb(change.schema) if change.schema is not None else None,
        "published": change.published,
    }
    try:
        await execute(conn, load(__package__, "update_form"), params)
    except errors.CheckViolation as error:
        raise Problem("state_conflict", "The form has no published version yet: publish its draft.") from error


async def publish_form(conn: Connection, caller: Caller, form_id: UUID, wanted: Publish) -> str:
    """Publish the draft; the version's name. Raises Problem: state_conflict (no draft), invalid_value with every fault
    of the schema in ``problems``, already_exists (a version of that name)."""
    row = await fetch_one(conn, load(__package__, "read_draft"), {"form_id": form_id})
    if row is None:
        raise Problem("not_found")
    draft, versions = row
    if draft is None:
        raise Problem("state_conflict", "There is no draft to publish: everything in it is published already.")
    if faults := forms.schema_faults(draft):
        raise Problem(
            "invalid_value",
            f"The schema cannot be published: {forms.sentence(faults)}",
            problems=[msgspec.to_builtins(fault) for fault in faults],
        )
    # Names like v3 that the office gave itself are skipped: at most `versions` names are taken.
    for number in range(versions + 1, 2 * versions + 2):
        name = wanted.version or f"v{number}"
        params = {"form_id": form_id, "version": name, "user": caller.user_id}
        if await fetch_one(conn, load(__package__, "find_version"), params) is None:
            await execute(conn, load(__package__, "publish_form"), params)
            return name
        if wanted.version is not None:
            break
    raise Problem("already_exists", f"The form has a version {name!r} already, and versions never change.")


async def _find(conn: Connection, query: str, caller: Caller, form: str) -> UUID:
    filters = frozenset({"worker"} if caller.role != "OWNER" else ())
    row = await fetch_one(conn, load_with(__package__, query, filters), named_form(form))
    if row is None:
        raise Problem("not_found")
    form_id: UUID = row[0]
    return form_id


def _insist_on_size(schema: dict[str, Any]) -> None:
    if len(msgspec.json.encode(schema)) > forms.SCHEMA_BYTES_MAX:
        raise Problem("too_large", f"A form's schema has at most {forms.SCHEMA_BYTES_MAX} bytes.")
