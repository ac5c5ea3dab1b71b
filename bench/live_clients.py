"""A crowd of live clients, as a process of its own: ``python -m bench.live_clients PORT``.

It does as little as can be: it says hello, counts what comes, and remembers when. Commands come in on stdin, answers go
out on stdout, a JSON text a line each. Times are of the system's monotonic clock, the same in all processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

import uvloop

UPDATE, CURRENT, BYE, LAST = b'"type":"entity_update"', b'"type":"current"', b'"type":"bye"', b'"has_more":false'
TOKEN = b'"next_token":"'
AT_ONCE = 200
"""Connections begun before the others are served."""
SECONDS = 300


class Crowd:
    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []
        self.updates = self.currents = self.byes = 0
        self.first = self.last = 0.0
        self.wanted: tuple[str, int] | None = None
        self.reached = asyncio.Event()

    def note(self) -> None:
        if self.wanted is None:
            return
        what, count = self.wanted
        found = self.updates if what == "updates" else self.currents + self.byes
        if found >= count:
            self.reached.set()

    async def until(self, what: str, count: int) -> bool:
        """Wait until so many were counted; False if they did not come."""
        self.wanted = (what, count)
        self.reached.clear()
        self.note()
        try:
            async with asyncio.timeout(SECONDS):
                await self.reached.wait()
        except TimeoutError:
            return False
        return True

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "open":
                return await self._open(command["tokens"], spread=0)
            case "reset":
                self.updates, self.first, self.last = 0, 0.0, 0.0
                return {}
            case "updates":
                whole = await self.until("updates", command["count"])
                return {"whole": whole, "updates": self.updates, "first": self.first, "last": self.last}
            case "herd":  # all are cut at once, and come back within a second
                tokens = [(client.access, client.token.decode()) for client in self.clients]
                for client in self.clients:
                    client.transport.abort()
                self.clients.clear()
                return await self._open(tokens, spread=command["seconds"])
            case _:
                for client in self.clients:
                    client.transport.abort()
                self.clients.clear()
                return {}

    async def _open(self, tokens: list[tuple[str, str | None]], *, spread: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.currents = self.byes = 0
        start = time.monotonic()
        errors = 0
        tasks = []
        for n, (access, since) in enumerate(tokens):
            if spread:
                await asyncio.sleep(max(0.0, start + spread * n / len(tokens) - time.monotonic()))
            elif n % AT_ONCE == 0:
                await self.until("currents", n - AT_ONCE)
            tasks.append(asyncio.create_task(self._connect(loop, access, since)))
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            errors += isinstance(result, BaseException)
        whole = await self.until("currents", len(tokens) - errors)
        return {
            "whole": whole, "current": self.currents, "errors": errors, "byes": self.byes,
            "seconds": time.monotonic() - start,
        }  # fmt: skip

    async def _connect(self, loop: asyncio.AbstractEventLoop, access: str, since: str | None) -> None:
        client = Client(self, access, since)
        await loop.create_connection(lambda: client, "127.0.0.1", self.port)
        self.clients.append(client)


class Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, crowd: Crowd, access: str, since: str | None) -> None:
        self.crowd, self.access, self.since = crowd, access, since
        self.token = b""
        self.rest = b""
        self.open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % self.crowd.port
        )

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        if not self.open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self.rest = head
                return
            self.open = True
            said = json.dumps({"type": "subscribe", "token": self.access, "since_token": self.since}).encode()
            self.transport.write(b"\x81\xfe" + len(said).to_bytes(2, "big") + b"\0\0\0\0" + said)
        place = 0
        while len(data) - place >= 2:
            size, start = data[place + 1], place + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(data) - start < width:
                    break
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if len(data) - start < size:
                break
            self._take(data[place] & 15, data, start, start + size)
            place = start + size
        self.rest = data[place:]

    def _take(self, opcode: int, data: bytes, start: int, end: int) -> None:
        crowd = self.crowd
        if opcode == 9:
            payload = data[start:end]
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
        elif data.startswith(UPDATE, start + 1):
            crowd.updates += 1
            crowd.last = time.monotonic()
            crowd.first = crowd.first or crowd.last
            self._remember(data, start, end)
            crowd.note()
        elif data.startswith(CURRENT, start + 1):
            crowd.currents += 1
            self._remember(data, start, end)
            crowd.note()
        elif data.startswith(BYE, start + 1):
            crowd.byes += 1
            crowd.note()

    def _remember(self, data: bytes, start: int, end: int) -> None:
        place = data.find(TOKEN, start, end) + len(TOKEN)
        self.token = data[place : data.index(b'"', place)]


async def main(port: int) -> None:
    crowd = Crowd(port)
    reader = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb"))
    while line := await reader.readline():
        print(json.dumps(await crowd.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main(int(sys.argv[1])))
