"""``POST /mobile/sync/push``: apply a batch."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post

from homing.engine import push
from homing.engine.caller import Claims
from homing.protocol.messages import PushAnswer, PushRequest
from homing.server.answers import RawJson
from homing.server.bodies import read
from homing.server.node import Node
from homing.server.routing import BY_ENGINE, SIGNED_IN

_encode = msgspec.json.Encoder().encode


@post("/mobile/sync/push", status_code=200, roles=SIGNED_IN, confirmed=BY_ENGINE, body=PushRequest, answer=PushAnswer)
async def post_push(request: Request[Any, Any, Any], node: Node, claims: Claims) -> RawJson:
    """Apply a device's batch, exactly once; one result an item, in order."""
    given = await read(request, PushRequest)
    return RawJson(_encode(await push.push(node.engine, claims, given)))


ROUTES = [post_push]
