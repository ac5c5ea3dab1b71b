"""The process that ``homing serve`` is: it starts, answers, and finishes what it is answering before it stops."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from homing.settings import Settings
from tests.fixtures.server import Server

PROGRAM = """
import sys
from pathlib import Path
from homing.server.serve import run
from homing.settings import Settings
from tests.fixtures.server import Server
url, folder, port = sys.argv[1:]
run(Settings(database_url=url, data_dir=Path(folder), port=int(port), pool_size=2))
"""


@pytest.fixture
def process(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """The server, on a port that the system chooses."""
    assert settings.database_url is not None
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, settings.database_url, str(settings.data_dir), "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        yield started
        if started.poll() is None:
            started.kill()


def said(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The line of the log that matches; fails with everything that was said when the log ends without it."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError("".join(lines))


def test_it_stops_when_told_and_finishes_its_answers_first(process: subprocess.Popen[str]) -> None:
    assert said(process, r"there is no user yet; make the first: (homing users create .*)")
    port = int(said(process, r"serving on http://127\.0\.0\.1:(\d+)")[1])
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    body = b'{"login": "nobody", "password": "correct horse battery"}'
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
    # The 100 says that the handler has begun to read.
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    process.send_signal(signal.SIGTERM)
    with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)):
        while True:
            httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=30)
    connection.sendall(body)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    connection.close()
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"server:" not in head.lower()
    assert b'"code":"invalid_credentials"' in document
    assert process.wait(timeout=60) == 0


def test_heads_leave_with_their_bodies_without_and_in_order(server: Server) -> None:
    get, head = (b"%s /health/live HTTP/1.1\r\nHost: x\r\n\r\n" % method for method in (b"GET", b"HEAD"))
    with socket.create_connection(server.address, timeout=30) as line:
        line.sendall(get)
        whole = line.recv(65536)
        assert (whole[:17], whole[-1:]) == (b"HTTP/1.1 200 OK\r\n", b"}")
        line.sendall(head)
        alone = line.recv(65536)
        assert (alone[:13], alone[-4:]) == (b"HTTP/1.1 405 ", b"\r\n\r\n")
        line.sendall(get + head + get)  # in one packet: answered in order
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 3 or not answers.endswith(b"}"):
            answers += line.recv(65536)
        assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"405", b"200"]
