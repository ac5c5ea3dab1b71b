"""An entry of the outbox: one local edit, sealed.

Everything else in a replica can be pulled again; unsent edits exist nowhere else. So each is kept as one text that
describes itself, ``homing-edit:<md5 of the rest>:<length>:<JSON>``: a damaged one is recognised before it is sent, and
a whole one can be found in the raw bytes of a file that SQLite no longer reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from homing.protocol.messages import Action

Status = Literal["queued", "in_flight", "held", "applied", "settled", "refused", "conflict"]

MARK = b"homing-edit:"
_HEAD = re.compile(rb"homing-edit:([0-9a-f]{32}):(\d{1,9}):")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One edit. ``row_id`` is a temp id until the server has answered the create; ``payload`` names only what changed.

    ``op`` is the item's client_temp_id. ``client_version`` is the base version the user saw. ``revision`` rises when
    the entry is rewritten, so that of two copies found in a damaged file the later one wins.
    """

    op: str
    device_id: str
    resource_type: str
    row_id: str
    action: Action
    payload: dict[str, Any]
    client_version: int
    edited_at: str
    together: str | None = None
    revision: int = 0

    def revised(self, **changes: Any) -> Entry:
        """A copy with other members, and the next revision."""
        return msgspec.structs.replace(self, revision=self.revision + 1, **changes)


class Damaged(msgspec.Struct, frozen=True):
    """An entry whose seal does not match: its bytes are not those that were saved."""

    data: bytes


def seal(entry: Entry) -> str:
    body = msgspec.json.encode(entry)
    rest = b"%d:%s" % (len(body), body)
    return (MARK + hashlib.md5(rest, usedforsecurity=False).hexdigest().encode() + b":" + rest).decode()


def unseal(text: str | bytes) -> Entry | Damaged:
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    head = _HEAD.match(data)
    found = _open(data, head) if head is not None else None
    return found if found is not None else Damaged(data)


def scan(data: bytes) -> Iterator[Entry]:
    """Every whole entry in ``data``, in the order found; the same one may come more than once."""
    for head in _HEAD.finditer(data):
        if (entry := _open(data, head)) is not None:
            yield entry


def _open(data: bytes, head: re.Match[bytes]) -> Entry | None:
    body = data[head.end() : head.end() + int(head[2])]
    rest = head[2] + b":" + body
    if hashlib.md5(rest, usedforsecurity=False).hexdigest().encode() != head[1]:
        return None
    return msgspec.json.decode(body, type=Entry)


def protect(text: str) -> str:
    """Text that must be repeated byte for byte, with its own proof before it."""
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}:{text}"


def protected(text: str | None) -> str | None:
    """What was protected; None where there is nothing, or it is no longer what was saved."""
    inner = None if text is None else text.partition(":")[2]
    return inner if inner is not None and protect(inner) == text else None


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What travels for an entry (``homing.protocol.messages.Item``, from the sending side)."""

    client_temp_id: str
    resource_type: str
    action: Action
    payload: Mapping[str, Any]
    client_version: int
    base: Mapping[str, int] | None = None
    edited_at: str


def item_text(entry: Entry, *, wire_id: str | int | None, media: Mapping[str, list[Any]]) -> str:
    """The item's JSON. ``wire_id`` is None for a create that leaves the id to the server."""
    payload: dict[str, Any] = {} if wire_id is None else {"id": wire_id}
    payload |= entry.payload
    for field, uploads in media.items():
        payload[field] = [*payload.get(field, []), *uploads]
    item = Item(
        client_temp_id=entry.op,
        resource_type=entry.resource_type,
        action=entry.action,
        payload=payload,
        client_version=entry.client_version,
        # Said again as one that was seen: client_version alone may also be counted ahead along a chain.
        base=None if entry.action == "create" else {"version": entry.client_version},
        edited_at=entry.edited_at,
    )
    return msgspec.json.encode(item).decode()
