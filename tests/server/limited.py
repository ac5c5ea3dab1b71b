"""An application with rates, for the tests of them: three requests of a browser and five of a phone in a day."""

from typing import Any

from litestar import get, post

from homing.accounts.rates import SYNC
from homing.declare import App
from homing.engine.caller import Caller
from homing.protocol.rates import Rate
from homing.server.routing import OFFICE, PUBLIC, SIGNED_IN

DAY = 86_400


@get("/goods", roles=SIGNED_IN)
async def get_goods(caller: Caller) -> dict[str, str]:
    return {"for": str(caller.user_id)}


@get("/prices", roles=OFFICE)
async def get_prices() -> list[int]:
    return []


@get("/window", roles=PUBLIC)
async def get_window() -> list[str]:
    return ["anybody may look"]


@post("/backlog", status_code=200, roles=SIGNED_IN, rate=SYNC)
async def post_backlog() -> list[str]:
    return []


@get("/opening-hours", roles=PUBLIC, rate=None)
async def get_opening_hours() -> str:
    return "always"


ROUTES: list[Any] = [get_goods, get_prices, get_window, post_backlog, get_opening_hours]
SPEC_ROUTES: list[Any] = [get_goods]


def declare(_store: Any) -> App:
    return App("limited", rates={"web": Rate(3, DAY), "mobile": Rate(5, DAY)})
