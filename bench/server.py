"""A contender's server as a process of its own: started on a free port, waited for, stopped at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 20
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    pid: int
    port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def uvicorn(application: str, port: int, *options: str) -> list[str]:
    """The same one-process server for every ASGI contender."""
    fixed = ["--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    fixed += ["--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", application, "--port", str(port), *fixed, *options]


@contextmanager
def running(command: Sequence[str], *, port: int, environ: Mapping[str, str], name: str) -> Iterator[Server]:
    """Run ``command`` from the repository's root until the block ends. Raises SystemExit with its log if it dies."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        try:
            _wait_until_up(process, port, name=name)
            yield Server(pid=process.pid, port=port)
        except BaseException:
            log.seek(0)
            sys.stderr.write("".join(log.readlines()[-40:]))
            raise
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: subprocess.Popen[str], port: int, *, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended while starting, with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{name} did not open port {port} within {START_SECONDS} s")
