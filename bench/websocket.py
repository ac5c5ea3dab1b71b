"""A blocking WebSocket client, as small as ``wire.py``: texts without compression, to a server on this machine."""

from __future__ import annotations

import socket
from typing import Any

import msgspec


class Socket:
    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb", buffering=1 << 16)
        status = self._file.readline()
        assert b" 101 " in status, status
        while self._file.readline() != b"\r\n":
            pass

    def send(self, message: Any) -> None:
        said = msgspec.json.encode(message)
        self._frame(0x81, said)

    def receive(self) -> bytes:
        """The next text; empty at the end."""
        while True:
            head = self._file.read(2)
            if len(head) < 2:
                return b""
            size = head[1]
            if size >= 126:
                size = int.from_bytes(self._file.read(2 if size == 126 else 8), "big")
            payload = self._file.read(size)
            match head[0] & 15:
                case 1:
                    return payload
                case 8:
                    return b""
                case 9:
                    self._frame(0x8A, payload)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _frame(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self._socket.sendall(bytes((kind,)) + length + b"\0\0\0\0" + payload)
