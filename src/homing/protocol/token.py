"""Sync tokens.

A token says what a device has. Its heart is a PostgreSQL snapshot: which transactions' effects the device holds. Why a
whole snapshot, and not the highest number seen: transactions commit in another order than they take numbers or times,
so "everything after the highest I saw" skips what commits late. A horizon ("everything before the oldest running
transaction") skips nothing but stands still while anybody, in any database of the cluster, keeps a transaction open. A
snapshot names the running transactions one by one, so the next delta is exactly *what is visible now and was not
visible then*.

The other parts: the scopes the device holds, by digest (``held``), and while a delta is being paged also the snapshot
and scopes of its first page (``until``, ``entering``), the scopes that an abandoned delta may have delivered
(``possible``), and a place. ``homing/engine/pull.py`` tells how they move.

Wire form: ``tok1_`` + base64url(msgpack array + 16 bytes of HMAC-SHA256). Opaque to clients. Bound to the database's
epoch and the user; a token that fails any check is the same error as one we never made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import msgspec

from homing.protocol.errors import Problem

PREFIX = "tok1_"
_MAC_BYTES = 16


class Snapshot(NamedTuple):
    """pg_snapshot: transactions below ``xmin`` are visible, from ``xmax`` on not, between them all but ``running``."""

    xmin: int
    xmax: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """From PostgreSQL's text form ``xmin:xmax:x1,x2``. Raises ValueError."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), tuple(int(x) for x in running.split(",")) if running else ())

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    def sees(self, xid: int) -> bool:
        """Whether the effects of a transaction are in this snapshot (pg_visible_in_snapshot)."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def bounded(self, xids_max: int) -> Snapshot:
        """Itself, or with more than ``xids_max`` running transactions the horizon below them: what lies above comes
        twice, nothing is skipped."""
        return self if len(self.running) <= xids_max else Snapshot(self.xmin, self.xmin)

    def covers(self, other: Snapshot) -> bool:
        """Whether everything that ``other`` sees is in this snapshot too. Both of one epoch, neither of a standby.
        Two snapshots that see the same, one of them bounded, may deny it of each other."""
        if self.xmax < other.xmax:
            return False
        known = frozenset(other.running)
        return all(xid >= other.xmax or xid in known for xid in self.running)

    @property
    def order(self) -> tuple[int, int]:
        """Sorts snapshots of one epoch as they were taken along a chain of tokens."""
        return (self.xmax, self.xmin)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page of a delta begins: the feed (see engine/feeds.py), the scope key, and the last row sent."""

    feed: int
    key: str
    changed: int
    row_id: str
    table_id: int = 0


class Token(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """See the module's docstring. ``since`` None: the device has nothing. ``tables``: the pull is narrowed to
    these. ``span``: about how many transactions the delta covers."""

    epoch: UUID
    user: UUID
    since: Snapshot | None = None
    held: bytes | None = None
    possible: bytes | None = None
    until: Snapshot | None = None
    entering: bytes | None = None
    place: Place | None = None
    delivered: int = 0
    issued_at: int = 0
    tables: tuple[int, ...] | None = None
    span: int = 0


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """What is packed: running transactions as distances from xmin, which makes them one to three bytes each."""

    epoch: bytes
    user: bytes
    since: tuple[int, int, tuple[int, ...]] | None
    held: bytes | None
    possible: bytes | None
    until: tuple[int, int, tuple[int, ...]] | None
    entering: bytes | None
    place: tuple[int, str, int, str, int] | None
    delivered: int
    issued_at: int
    tables: tuple[int, ...] | None
    span: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)


def _pack(snapshot: Snapshot | None) -> tuple[int, int, tuple[int, ...]] | None:
    if snapshot is None:
        return None
    return (snapshot.xmin, snapshot.xmax - snapshot.xmin, tuple(x - snapshot.xmin for x in snapshot.running))


def _unpack(packed: tuple[int, int, tuple[int, ...]] | None) -> Snapshot | None:
    if packed is None:
        return None
    xmin, length, running = packed
    return Snapshot(xmin, xmin + length, tuple(xmin + x for x in running))


def encode(token: Token, keys: Mapping[str, bytes]) -> str:
    """Sign and encode. ``keys``: secrets by id, the first one signs."""
    place = token.place
    body = _encoder.encode(
        _Packed(
            token.epoch.bytes,
            token.user.bytes,
            _pack(token.since),
            token.held,
            token.possible,
            _pack(token.until),
            token.entering,
            None if place is None else (place.feed, place.key, place.changed, place.row_id, place.table_id),
            token.delivered,
            token.issued_at,
            token.tables,
            token.span,
        )
    )
    secret = next(iter(keys.values()))
    mac = hmac.digest(secret, body, hashlib.sha256)[:_MAC_BYTES]
    return PREFIX + base64.urlsafe_b64encode(body + mac).decode().rstrip("=")


def decode(text: str, keys: Mapping[str, bytes], *, user: UUID, bytes_max: int) -> Token:
    """Check and decode. Raises Problem("invalid_token"), always the same one, for whatever is not our token for this
    user. Whether its epoch is still ours is for the caller to check: that is another answer."""
    if not text.startswith(PREFIX) or len(text) > bytes_max:
        raise Problem("invalid_token")
    encoded = text[len(PREFIX) :]
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Problem("invalid_token") from None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not any(hmac.compare_digest(hmac.digest(s, body, hashlib.sha256)[:_MAC_BYTES], mac) for s in keys.values()):
        raise Problem("invalid_token")
    # Unused bits of the last base64 character are not under the signature: only the canonical spelling is ours.
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != encoded:
        raise Problem("invalid_token")
    packed = _decoder.decode(body)
    if packed.user != user.bytes:
        raise Problem("invalid_token")
    return Token(
        epoch=UUID(bytes=packed.epoch),
        user=user,
        since=_unpack(packed.since),
        held=packed.held,
        possible=packed.possible,
        until=_unpack(packed.until),
        entering=packed.entering,
        place=None if packed.place is None else Place(*packed.place),
        delivered=packed.delivered,
        issued_at=packed.issued_at,
        tables=packed.tables,
        span=packed.span,
    )


class Minter:
    """Complete tokens for many users of one snapshot and scope set: what ``encode`` gives, at a third of its cost.

    A live message to five thousand people needs five thousand tokens, which differ in two members.
    """

    __slots__ = ("_head", "_mac", "_middle", "_tail")

    def __init__(
        self,
        keys: Mapping[str, bytes],
        *,
        epoch: UUID,
        since: Snapshot,
        held: bytes,
        issued_at: int,
        tables: tuple[int, ...] | None,
    ) -> None:
        pack = _encoder.encode
        self._mac = hmac.new(next(iter(keys.values())), digestmod="sha256")  # keyed once, copied for each
        self._head = b"\x9c" + pack(epoch.bytes)  # an array of twelve
        self._middle = pack(_pack(since)) + pack(held) + pack(None) * 4
        self._tail = pack(issued_at) + pack(tables) + pack(0)

    def mint(self, user: bytes, delivered: int) -> bytes:
        """The token of the user with these sixteen bytes, as ASCII."""
        body = b"%b\xc4\x10%b%b%b%b" % (self._head, user, self._middle, _encoder.encode(delivered), self._tail)
        mac = self._mac.copy()
        mac.update(body)
        text = binascii.b2a_base64(body + mac.digest()[:_MAC_BYTES], newline=False).translate(_URL_SAFE).rstrip(b"=")
        return b"tok1_" + text


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
