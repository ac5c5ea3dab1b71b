"""The messages of the sync protocol, as msgspec structs: decoding one is validating it.

Fields may be added, never renamed or removed. Payloads stay raw bytes until the table they are for is known.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Action = Literal["create", "update", "delete"]
Status = Literal["ok", "conflict", "error"]


class Base(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an edit was based on, where it is not ``client_version``. Exactly one member is set.

    ``token``: unchanged since the pull that gave this token (``true``: the batch's ``client_sync_token``).
    ``row``: the whole previous row. ``none``: a field patch, based on nothing. ``absent``: the row must not exist
    (a delete: and so it does nothing).
    """

    version: int | None = None
    token: str | bool | None = None
    row: dict[str, Any] | None = None
    none: bool = False
    absent: bool = False


class Item(msgspec.Struct, kw_only=True):
    """One change of a batch. ``payload`` holds ``id`` for update and delete, and for update only what changed."""

    resource_type: str
    action: Action
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    client_temp_id: str | None = None
    client_version: int | None = None
    edited_at: str | None = None
    base: Base | None = None


class PushRequest(msgspec.Struct, kw_only=True):
    """``POST /mobile/sync/push``. ``items`` stay raw so that one malformed item costs only itself."""

    items: list[msgspec.Raw]
    device_id: str | None = None
    batch_token: str | None = None
    client_sync_token: str | None = None
    client_time: str | None = None
    atomic: bool = False
    pending: int | None = None


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The verdict on one item."""

    index: int
    client_temp_id: str | None
    status: Status
    server_id: str | None = None
    server_version: int | None = None
    merged: bool = False
    conflict_id: str | None = None
    server_payload: msgspec.Raw | None = None
    code: str | None = None
    error: str | None = None
    path: str | None = None


class PushAnswer(msgspec.Struct, kw_only=True):
    batch_id: str
    batch_token: str
    processed_at: str
    server_sync_token: str
    results: list[Result]


class PullRequest(msgspec.Struct, kw_only=True):
    """``POST /mobile/sync/pull``. ``tables`` narrows the pull and stays the same along a chain of tokens."""

    since_token: str | None = None
    limit: int | None = None
    tables: list[str] | None = None
    device_id: str | None = None


class Change(msgspec.Struct, kw_only=True):
    """One change of a pull. ``reason`` is given on a delete."""

    id: str
    resource_type: str
    action: Action
    payload: msgspec.Raw | None
    server_version: int | None
    reason: Literal["deleted", "out_of_scope"] | msgspec.UnsetType = msgspec.UNSET


class PullAnswer(msgspec.Struct, kw_only=True):
    """``next_token`` is complete only when ``has_more`` is false: then the replica equals the database."""

    next_token: str
    changes: list[Change]
    has_more: bool
    server_time: str


class AckRequest(msgspec.Struct, kw_only=True):
    ack_token: str
    pending: int | None = None
    """Items left in the device's outbox, as the device counts them."""


class AckAnswer(msgspec.Struct, kw_only=True):
    acked_at: str
    synced: int


class Digest(msgspec.Struct, kw_only=True):
    """Count and order-free hash of the rows a replica holds of one table (see ``docs/reference/protocol.md``)."""

    count: int
    hash: str


class VerifyRequest(msgspec.Struct, kw_only=True):
    token: str
    digests: dict[str, Digest]


class VerifyAnswer(msgspec.Struct, kw_only=True):
    """``equal`` when nothing differs. ``current`` is false when rows changed since the token: pull, then ask again."""

    equal: bool
    current: bool
    differ: list[str]
    digests: dict[str, Digest]


class ReplayRequest(msgspec.Struct, kw_only=True):
    dry_run: bool = False


class ResolveRequest(msgspec.Struct, kw_only=True):
    resolution: Literal["accept_server", "accept_client", "merged"]
    payload: dict[str, Any] | None = None
    notes: str | None = None
