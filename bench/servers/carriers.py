"""Carriers that take everything: Google's with its sign-in, Expo's, and browsers' vendors'.

``uvicorn bench.servers.carriers:application``
"""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.encode
_TAKEN = b'{"name":"projects/bench/messages/1"}'
_SIGNED_IN = b'{"access_token":"ya29.bench","expires_in":3600}'


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    status, answer = 200, _TAKEN
    path = scope["path"]
    if path == "/token":
        answer = _SIGNED_IN
    elif path == "/expo/send":
        answer = _encode({"data": [{"status": "ok", "id": f"t-{each['to']}"} for each in msgspec.json.decode(body)]})
    elif path.startswith("/browser"):
        status, answer = 201, b""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})
