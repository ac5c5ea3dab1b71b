"""A blocking keep-alive HTTP/1.1 client over one socket.

As small as can be, because on a machine with two cores every microsecond the load generator takes is taken from the
server it measures: an ordinary client library costs more per request than the thin server does.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

RECEIVE_BYTES = 1 << 20
TIMEOUT_SECONDS = 300
IDLE_SECONDS = 4
"""A connection that waited longer, while other contenders were measured, is made anew: servers close idle ones."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to a server on this machine. ``received`` counts the bytes of all answers, heads included."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self.received = 0
        self._host = f"127.0.0.1:{port}"
        self._headers = dict(headers or {})
        self._port = port
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._used = time.monotonic()

    def close(self) -> None:
        self._socket.close()

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """The fixed part of a request, made once: ``send`` adds the length and the body."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in {**self._headers, **headers}.items()]
        return ("\r\n".join(lines) + "\r\n").encode("latin-1")

    def send(self, head: bytes, body: bytes | None = None) -> Answer:
        """One request and its answer. Raises ConnectionError if the server hangs up; nothing is sent twice."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
            self._connect()
        if body is None:
            self._socket.sendall(head + b"\r\n")
        else:
            length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._socket.sendall(head + length + body)
        answer = self._read()
        self._used = time.monotonic()
        return answer

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        return self.send(self.head(method, path, **headers), body)

    def _read(self) -> Answer:
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunked()
        else:
            body = self._take(int(headers["content-length"]))
        return Answer(status, headers, body)

    def _chunked(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._take(size))
            self._take(2)
        self._take(2)
        return b"".join(parts)

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.received += len(data)
        return data

    def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            self._buffer += self._receive()
        taken, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return taken

    def _take(self, size: int) -> bytes:
        if len(self._buffer) >= size:
            taken, self._buffer = self._buffer[:size], self._buffer[size:]
            return taken
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            data = self._receive()
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]
