"""A server in a thread of this process: what talks to it does so over HTTP, like everybody."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import uvicorn
import uvloop

from homing.server.app import create_app
from homing.server.node import open_node
from homing.server.serve import configure
from homing.server.tenant import Tenant
from homing.server.working import Working
from homing.settings import Settings

Prepare = Callable[[Tenant], Awaitable[None]]


@contextmanager
def serving(settings: Settings, prepare: Prepare) -> Iterator[str]:
    """Serve and do the jobs until the block ends; its URL. ``prepare`` has the tenant before anybody else.

    Where another program has the port of ``settings``, any free one is taken. Raises what ``open_node`` raises.
    """
    listening: Future[tuple[str, uvicorn.Server]] = Future()

    async def main() -> None:
        async with open_node(settings) as node:
            await prepare(node.default)
            with _listen(settings.host, settings.port) as sock:
                host, port = sock.getsockname()[:2]
                app = create_app(node)
                server = uvicorn.Server(configure(app, host=host, port=port))
                working = asyncio.create_task(Working(node, app.state.metrics).run(), name="jobs")
                listening.set_result((f"http://{host}:{port}", server))
                try:
                    await server.serve(sockets=[sock])
                finally:
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)

    def run() -> None:
        try:
            uvloop.run(main())
        except BaseException as error:
            if listening.done():
                raise
            listening.set_exception(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        # Before uvicorn accepts, the socket's backlog does: nobody needs to wait for more than the socket.
        url, server = listening.result()
        try:
            yield url
        finally:
            server.should_exit = True
    finally:
        thread.join()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return socket.create_server((host, 0))
