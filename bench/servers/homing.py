"""Homing's own server, as ``homing serve`` runs it, with a profiler that two signals switch on and off.

``SIGUSR1`` starts cProfile in the event loop's thread, ``SIGUSR2`` stops it and writes to the file that BENCH_PROFILE
names. Without that variable this is an ordinary server.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import signal
from pathlib import Path

import uvicorn
import uvloop

from homing.server.app import create_app
from homing.server.node import open_node
from homing.server.serve import configure, raise_file_limit
from homing.settings import Settings


async def serve(profile: str | None) -> None:
    settings = Settings.read(os.environ)
    if profile:
        _listen_for_profiling(Path(profile))
    raise_file_limit()
    async with open_node(settings) as node:
        await uvicorn.Server(configure(create_app(node), host=settings.host, port=settings.port)).serve()


def _listen_for_profiling(path: Path) -> None:
    profiler = cProfile.Profile()

    def stop() -> None:
        profiler.disable()
        unfinished = path.with_suffix(".unfinished")
        profiler.dump_stats(unfinished)
        unfinished.replace(path)  # whoever waits for the file finds it whole

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, profiler.enable)
    loop.add_signal_handler(signal.SIGUSR2, stop)


if __name__ == "__main__":
    uvloop.run(serve(os.environ.get("BENCH_PROFILE")))
