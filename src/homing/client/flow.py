"""The sync loop.

One round is *push, pull, ack, media*: what is ready goes up first, because it is small and nobody else has it; then
what others did comes down; then files, which may take long, and once they are there a second round sends the edits
that waited for them. Every step leaves the replica as it can be found after a power cut, so a loop that is killed
anywhere is simply run again.

Actions that the server asks for are done here, in one place: ``resync`` starts from nothing with the outbox kept,
``wipe`` removes the replica; the rest end the loop and are reported. Nothing else ever removes data, whatever a bare
status says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homing.client import batches, integrity, media, pull, push, schema, single, verify
from homing.client.call import RefusalError
from homing.client.exchange import Flow
from homing.client.pull import Pulled
from homing.client.push import Pushed
from homing.client.store import Store
from homing.client.wipe import wipe
from homing.protocol.errors import Action

ROUNDS_MAX = 4
"""Rounds a sync makes: files that came, edits rebased after a restore, and one more. The rest waits for the next."""


@dataclass(slots=True)
class Report:
    """What a sync did. ``action`` is None when it went through; otherwise what has to happen before the next one.

    ``verified``: whether the digests agree at the end; None where nobody asked. ``repaired``: tables pulled again for
    it; ``remade``: rows here that were not what the base and the outbox make them.
    """

    action: Action | None = None
    code: str | None = None
    detail: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    pushed: Pushed = field(default_factory=Pushed)
    pulled: Pulled = field(default_factory=Pulled)
    uploaded: int = 0
    repaired: list[str] = field(default_factory=list)
    remade: int = 0
    verified: bool | None = None

    @property
    def ok(self) -> bool:
        return self.action is None


def sync(store: Store, *, verified: bool = False) -> Flow[Report]:
    """Bring the replica and the server together; ``verified``: then compare digests and repair what differs.

    One sync at a time, across threads and processes: a second one reports ``retry`` with the code ``busy``.
    """
    report = Report()
    return (yield from _alone(store, report, _whole(store, report, verified=verified)))


def push_only(store: Store) -> Flow[Report]:
    """Send the outbox, and nothing else."""
    report = Report()

    def steps() -> Flow[None]:
        if not (yield from push.push(store, report.pushed)):
            pull.resync(store, report.pulled, server_lost=True)

    return (yield from _alone(store, report, steps()))


def pull_only(store: Store) -> Flow[Report]:
    """Pull to an instant of the server and ack it; the outbox stays as it is."""
    report = Report()

    def steps() -> Flow[None]:
        yield from schema.ensure(store)
        yield from pull.pull(store, report.pulled)
        yield from pull.ack(store)

    return (yield from _alone(store, report, steps()))


def acked(store: Store) -> Flow[Report]:
    """Only ack what was stored."""
    report = Report()
    return (yield from _alone(store, report, pull.ack(store)))


def _alone(store: Store, report: Report, steps: Flow[None]) -> Flow[Report]:
    """Run ``steps`` as the only sync of this replica, and do what the server asks for instead of going on."""
    try:
        with single.flight(store.path):
            yield from steps
    except single.BusyError as busy:
        report.action, report.code, report.detail = Action.RETRY, "busy", str(busy)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        # The transaction was rolled back whole: nothing is ahead of anything, and the next sync goes on from here.
        report.action, report.code, report.detail = Action.STOP, "replica_full", str(error)
    except RefusalError as refusal:
        report.action, report.code, report.detail = refusal.action, refusal.code, refusal.detail
        report.extra = refusal.extra
        if refusal.action is Action.WIPE:
            wipe(store)
    return report


def _whole(store: Store, report: Report, *, verified: bool) -> Flow[None]:
    yield from schema.ensure(store)
    yield from _rounds(store, report)
    if verified:
        report.verified, report.repaired = yield from verify.verify(store, report.pulled)
        report.remade = len(integrity.repair(store))  # after it: a row the base lost must not vanish for a moment
        yield from pull.ack(store)


def _rounds(store: Store, report: Report) -> Flow[None]:
    for _ in range(ROUNDS_MAX):
        if not (yield from push.push(store, report.pushed)):
            pull.resync(store, report.pulled, server_lost=True)
        yield from pull.pull(store, report.pulled)
        yield from pull.ack(store)
        report.uploaded += yield from media.upload_all(store)
        if not batches.any_sendable(store):
            return
