"""Following: a replica kept in step with the server as changes happen.

A sync first, which sends what waits here and pulls what happened meanwhile; then the server's stream of events, from
the replica's own token. Each delta that arrives whole is stored as a pulled page would be, token and rows together. A
cut, a goodbye or anything not understood ends in the same place: a pause that grows, and the next sync. So the stream
only saves waiting; what is not heard on it is pulled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from homing.client import batches, pages, single
from homing.client.call import API, BACKOFF_SECONDS_FIRST, BACKOFF_SECONDS_MAX, USER_AGENT
from homing.client.exchange import Request, Wait
from homing.client.flow import Report
from homing.client.pages import Change, Page
from homing.client.store import Store
from homing.protocol.errors import Action
from homing.protocol.live import Bye, ConflictResolved, Current, Heartbeat, Notification, Presence, Update

STOPPING = (Action.STOP, Action.UPGRADE, Action.WIPE, Action.LOGIN, Action.ENROLL)
"""What a sync may report that no further one mends."""

_KNOWN = frozenset(("entity_update", "current", "presence", "conflict_resolved", "notification", "heartbeat", "bye"))
_decoder = msgspec.json.Decoder(Update | Current | Presence | ConflictResolved | Notification | Heartbeat | Bye)


@dataclass(frozen=True, slots=True)
class Heard:
    """News. ``rows``: what changed, as resource type, id and action; after a sync ``report`` says how it went, and the
    rows that it brought are not listed."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    report: Report | None = None
    presence: Presence | None = None
    resolved: ConflictResolved | None = None
    notification: Notification | None = None


Outcome = Heard | Literal["sync"] | None
"""What a message came to: news, a reason to sync, or nothing to tell."""


class Ear:
    """Understands a stream, line by line. ``lost`` says that the stream is of no more use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked = pages.place(store)
        self._changes: list[Change] = []
        self.lost = False
        self.heard = False
        """Whether the server let this client in."""

    def take(self, line: str) -> Outcome:
        """One line of the stream."""
        if not line.startswith("data: "):
            return None
        try:
            message = _decoder.decode(line[6:])
        except msgspec.DecodeError:
            self.lost = _is_for_us(line[6:])
            return None
        match message:
            case Update():
                self._changes.append(_change(message))
                return None if message.has_more else self._apply(message.next_token)
            case Current():
                self.heard = True
                return self._apply(message.next_token)
            case Presence():
                return Heard(presence=message)
            case ConflictResolved():
                return Heard(resolved=message)
            case Notification():
                return Heard(notification=message)
            case Heartbeat():
                return "sync" if batches.any_sendable(self._store) else None
            case _:  # a goodbye: the next sync says why, if it matters
                self.lost = True
                return None

    def _apply(self, token: str) -> Outcome:
        """A delta is whole: store it, unless somebody else moved the replica meanwhile."""
        changes, self._changes = self._changes, []
        if not changes and token == self._asked.token:
            return None
        try:
            with single.flight(self._store.path):
                if pages.place(self._store) != self._asked:
                    self.lost = True
                    return None
                pages.apply(self._store, self._asked, Page(token, changes))
                self._asked = pages.place(self._store)
        except single.BusyError:
            self.lost = True  # a sync is running, which pulls all this
            return None
        return Heard([(change.resource_type, str(change.id), change.action) for change in changes])


def request(store: Store) -> Request | None:
    """The request for the stream; None while there is nothing to go on from, or nobody signed in."""
    session, place = store.session(), pages.place(store)
    if session is None or place.token is None or place.repair:
        return None
    headers = {
        "accept": "text/event-stream",
        "authorization": f"Bearer {session.access_token}",
        "last-event-id": place.token,
        "user-agent": USER_AGENT,
    }
    return Request(method="GET", target=f"{API}/live", headers=headers)


def pauses() -> Iterator[Wait]:
    """How long to wait before each further attempt: longer each time, and never the same for everybody."""
    window = BACKOFF_SECONDS_FIRST
    while True:
        yield Wait(0.0, window)
        window = min(BACKOFF_SECONDS_MAX, window * 2)


def _change(message: Update) -> Change:
    return Change(message.id, message.resource_type, message.action, message.data, message.server_version)


class _Typed(msgspec.Struct):
    type: str


def _is_for_us(text: str) -> bool:
    """Whether something not understood is of a type that this client knows: newer servers say more."""
    try:
        found = msgspec.json.decode(text, type=_Typed)
    except msgspec.DecodeError:
        return True
    return found.type in _KNOWN
