"""The replica, as an application sees it: rows to read, edits to make, verdicts to look at. No network anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import msgspec

from homing.client import attachments, integrity, layers, outbox, pages, salvage, single, verdicts
from homing.client.attachments import Attachment
from homing.client.integrity import Difference
from homing.client.salvage import Salvage
from homing.client.sql import quote
from homing.client.store import Clock, NewId, Store, utc_now
from homing.client.verdicts import Verdict
from homing.declare.edits import Check
from homing.protocol.messages import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the replica stands. ``outbox``: entries by status; ``waiting``: those without a final verdict."""

    device_id: str
    server: str | None
    user_id: str | None
    signed_in: bool
    schema_version: str | None
    complete: bool
    token: str | None
    acked: bool
    waiting: int
    outbox: dict[str, int]
    uploads: int
    rows: dict[str, int]


class Replica:
    """A device's copy of what its user may see, in one SQLite file, with the edits made on it.

    ``tables`` narrows what is pulled to these resource types; changing it starts a resync. A damaged file is put aside
    and its outbox saved before anything is read: ``salvaged`` then says what happened. ``clock`` gives aware datetimes;
    ``new_id`` gives ids that never repeat. ``checks``: resource type → the application's rules, pure functions of an
    edit, run before it enters the outbox, so that a person is told at once what the server would say later.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        tables: Sequence[str] | None = None,
        clock: Clock = utc_now,
        new_id: NewId = lambda: uuid4().hex,
        checks: Mapping[str, Sequence[Check]] | None = None,
    ) -> None:
        path = Path(path)
        salvage.finish(path)
        self.salvaged: Salvage | None = None
        if salvage.damage(path) is not None:
            with single.flight(path):  # of two processes that find the damage, one does this
                reason = salvage.damage(path)
                if reason is not None:
                    self.salvaged = salvage.salvage(path, reason, clock=clock, new_id=new_id)
        self.store = Store(path, clock=clock, new_id=new_id)
        self.store.checks = checks or {}
        self._together: str | None = None
        attachments.sweep(self.store)
        wanted = None if tables is None else msgspec.json.encode(sorted(tables)).decode()
        state = self.store.state()
        if wanted != state.wanted:
            with self.store.transaction():
                self.store.set_state(wanted=wanted)
                pages.begin_resync(self.store, offer_again=False)

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Reading.

    @property
    def complete(self) -> bool:
        """Whether the rows have equalled the server's at one instant. False during the first sync only."""
        return self.store.state().complete

    def get(self, resource_type: str, row_id: str) -> dict[str, Any] | None:
        """A row with the local edits laid over it, values as the wire says them; None if it is not here."""
        with self.store.reading():
            table = outbox.table_of(self.store, resource_type)
            row_id = outbox.resolve(self.store, row_id)
            row = layers.look(self.store, resource_type, row_id)
            return None if row is None else {**row.values, table.wire.key: table.wire_id(row_id)}

    def rows(
        self, resource_type: str, where: str = "", params: Sequence[Any] | Mapping[str, Any] = (), *, limit: int = -1
    ) -> list[dict[str, Any]]:
        """Rows of a synced table as SQLite holds them, in order of key. ``where`` is SQL, its values ``params``."""
        table = outbox.table_of(self.store, resource_type)
        columns = ", ".join(f"{quote(column.column)} AS {quote(column.name)}" for column in table.columns)
        condition = f"WHERE {where} " if where else ""
        return self.query(
            f"SELECT {columns}, _version FROM {quote(table.name)} {condition}"
            f"ORDER BY {quote(table.key.column)} LIMIT {int(limit)}",
            params,
        )

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """Any SELECT over the synced tables. To write, use ``create``, ``update`` and ``delete``."""
        with self.store.reading():
            self.store.connection.execute("PRAGMA query_only = ON")
            try:
                return [dict(row) for row in self.store.connection.execute(sql, params)]
            finally:
                self.store.connection.execute("PRAGMA query_only = OFF")

    def status(self) -> Status:
        with self.store.reading():
            state = self.store.state()
            counts = {row["status"]: row["entries"] for row in self.store.all("count_entries")}
            rows = {row["resource_type"]: row["rows"] for row in self.store.all("count_base")}
            return Status(
                device_id=state.device_id,
                server=state.server,
                user_id=state.user_id,
                signed_in=self.store.session() is not None,
                schema_version=state.schema_version,
                complete=state.complete,
                token=state.token,
                acked=state.token is not None and state.token == state.acked_token,
                waiting=sum(counts.get(status, 0) for status in ("queued", "in_flight", "held")),
                outbox=counts,
                uploads=len(attachments.to_upload(self.store)),
                rows=rows,
            )

    # Editing.

    def create(self, resource_type: str, payload: Mapping[str, Any]) -> str:
        """Make a row; returns its id here: a temp id, which stays valid after the server has given another."""
        return outbox.create(self.store, resource_type, payload, together=self._together)

    def update(self, resource_type: str, row_id: str, /, **fields: Any) -> str | None:
        """Change fields; only what differs is sent. Returns the entry's op, None where nothing differs."""
        return outbox.update(self.store, resource_type, row_id, fields, together=self._together)

    def delete(self, resource_type: str, row_id: str) -> str:
        """Delete a row; returns the entry's op."""
        return outbox.delete(self.store, resource_type, row_id, together=self._together)

    def attach(
        self,
        resource_type: str,
        row_id: str,
        field: str,
        source: Path | str,
        content_type: str,
        *,
        filename: str | None = None,
        **details: Any,
    ) -> str:
        """Attach a file to a row, e.g. ``field="media"``; copied now, uploaded by the next sync."""
        return attachments.attach(
            self.store,
            resource_type,
            row_id,
            field=field,
            source=Path(source),
            content_type=content_type,
            filename=filename,
            details=details,
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Edits made inside are one transaction here, and applied by the server all or not at all."""
        with self.store.transaction():
            outer, self._together = self._together, self._together or self.store.new_id()
            try:
                yield
            finally:
                self._together = outer

    def resolve(self, row_id: str) -> str:
        """The id a row has now: the server's, once the create of a temp id was answered."""
        return outbox.resolve(self.store, row_id)

    # Verdicts.

    def refused(self) -> list[Verdict]:
        """Edits that the server (or the upload of their files) refused; their rows show what the server has."""
        return verdicts.verdicts(self.store, "refused")

    def conflicts(self) -> list[Verdict]:
        """Edits that met somebody else's: the office decides, and its decision comes with a pull."""
        return verdicts.verdicts(self.store, "conflict")

    def discard(self, op: str) -> list[str]:
        """Give up an edit that was refused, is in conflict, or was never sent; returns the ops that went with it."""
        return verdicts.discard(self.store, op)

    def retry(self, op: str, payload: Mapping[str, Any] | None = None) -> str:
        """Send a refused or conflicting edit again, changed if ``payload`` is given; returns its op now."""
        return verdicts.retry(self.store, op, payload)

    def attachments(self) -> list[Attachment]:
        return attachments.attachments(self.store)

    # Integrity.

    def check(self) -> list[Difference]:
        """Rows that are not what the server's rows and the open edits make them; empty when all is well."""
        return integrity.check(self.store)

    def repair(self) -> list[Difference]:
        """Make those rows right again; what the server sent is repaired by a sync that verifies."""
        return integrity.repair(self.store)

    def digests(self) -> dict[str, Digest]:
        """Count and order-free hash of each table as the server sent it."""
        return integrity.digests(self.store)[1]
