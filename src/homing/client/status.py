"""What the server knows of this device's syncs: last sync, pending, quarantined."""

from __future__ import annotations

from typing import Any

from homing.client.call import call, decode, get
from homing.client.exchange import Flow
from homing.client.store import Store


def status(store: Store) -> Flow[dict[str, Any]]:
    """The server's view of the device. Raises RefusalError."""
    request = get("/mobile/sync/status")
    answer: dict[str, Any] = decode((yield from call(store, request)), dict[str, Any], request)
    return answer
