"""An application whose routes are counted as the marketplace's are, and one beside them that is not."""

from __future__ import annotations

from litestar import get

from homing.declare import App
from homing.media import Store
from homing.protocol.rates import Rate
from homing.server.routing import SIGNED_IN


@get("/counted", roles=SIGNED_IN)
async def get_counted() -> list[str]:
    return []


@get("/uncounted", roles=SIGNED_IN, rate=None)
async def get_uncounted() -> list[str]:
    return []


ROUTES = [get_counted, get_uncounted]


def declare(_store: Store) -> App:
    return App("limited", title="Counted", rates={"web": Rate(100, 900), "mobile": Rate(200, 900)})
