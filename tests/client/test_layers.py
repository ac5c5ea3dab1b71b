"""A row is what the server sent with the open edits laid over it: against a model, for any order of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from homing.client.batches import start
from homing.client.pages import Change, Page, apply, place
from homing.client.results import Result, conclude
from homing.client.schema import adopt
from homing.client.tables import Schema
from tests.client.conftest import memory_folder
from tests.client.device import Device
from tests.client.peer import SITE, Peer

import msgspec  # isort: skip

NAMES = ("name", "note")
ROWS = ("r1", "r2")

Events = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from(ROWS), st.sampled_from(NAMES)),
        st.tuples(st.just("delete"), st.sampled_from(ROWS), st.just("")),
        st.tuples(st.just("send"), st.sampled_from(["ok", "conflict", "refused", "held", "lost"]), st.integers(1, 2)),
        st.tuples(st.just("pull"), st.sampled_from(ROWS), st.sampled_from([*NAMES, "gone"])),
    ),
    max_size=25,
)


class Model:
    """The server's rows as pulled, and the open edits in order: what the row shows is the fold of the second over the
    first."""

    def __init__(self) -> None:
        self.base: dict[str, dict[str, Any]] = {row: {"name": "first", "note": None} for row in ROWS}
        self.open: list[tuple[str, str, str, dict[str, Any]]] = []

    def shown(self, row: str) -> dict[str, Any] | None:
        values = self.base.get(row)
        for _, at, action, fields in self.open:
            if at == row and values is not None:
                values = None if action == "delete" else {**values, **fields}
        return values


@settings(max_examples=150, deadline=None)
@given(Events)
def test_a_row_is_its_base_and_its_open_edits(events: list[tuple[Any, ...]]) -> None:
    with memory_folder() as folder:
        device = Device(Path(folder) / "r.db", Peer())
        try:
            play(device, events)
        finally:
            device.replica.close()


def play(device: Device, events: list[tuple[Any, ...]]) -> None:
    replica, store, model = device.replica, device.replica.store, Model()
    adopt(store, msgspec.convert({"tables": [SITE], "schema_version": 1}, Schema))
    version = dict.fromkeys(ROWS, 1)
    moment = 1
    apply(store, place(store), Page("t1", [change(row, model.base[row], 1) for row in ROWS]))
    for number, (kind, one, other) in enumerate(events):
        match kind:
            case "edit" if model.shown(one) is not None:
                fields = {other: f"e{number}"}
                op = replica.update("site", one, **fields)
                assert op is not None
                model.open.append((op, one, "update", fields))
            case "delete" if model.shown(one) is not None:
                model.open.append((replica.delete("site", one), one, "delete", {}))
            case "send":
                batch = start(store, size=other)
                if batch is not None and one != "lost":
                    results = [verdict(one, index, version) for index in range(len(batch.ops))]
                    conclude(store, batch, results)
                    if one in ("conflict", "refused"):
                        model.open = [edit for edit in model.open if edit[0] not in batch.ops]
            case "pull":
                moment += 1
                version[one] += 1
                fields = {} if other == "gone" else {"name": "first", "note": None, other: f"p{number}"}
                page = [change(one, None if other == "gone" else fields, version[one])]
                apply(store, place(store), Page(f"t{moment}", page))
                if other == "gone":
                    model.base.pop(one, None)
                else:
                    model.base[one] = fields
                # A complete pull shows what the server applied before it.
                applied = {row["op"] for row in replica.query("SELECT op FROM _outbox WHERE status = 'settled'")}
                model.open = [edit for edit in model.open if edit[0] not in applied]
        for row in ROWS:
            shown = model.shown(row)
            found = replica.get("site", row)
            assert (None if found is None else {name: found[name] for name in NAMES}) == shown
        assert replica.check() == []


def change(row: str, values: dict[str, Any] | None, version: int) -> Change:
    if values is None:
        return Change(id=row, resource_type="site", action="delete", server_version=version, reason="deleted")
    payload = msgspec.Raw(msgspec.json.encode(values))
    return Change(id=row, resource_type="site", action="update", payload=payload, server_version=version)


def verdict(kind: str, index: int, version: dict[str, int]) -> Result:
    match kind:
        case "ok":
            return Result(index=index, status="ok", server_version=max(version.values()))
        case "conflict":
            return Result(index=index, status="conflict", server_version=9, code="version_conflict")
        case "held":
            return Result(index=index, status="error", code="held_for_review")
        case _:
            return Result(index=index, status="error", code="check_failed")
