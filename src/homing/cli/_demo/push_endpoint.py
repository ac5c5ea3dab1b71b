"""A push service of the demo's own, and the browsers behind it: they hold the keys and read what was sent to them.

The other side of Web Push: what arrives is decrypted as a browser does it (RFC 8291), by none of the server's code.
"""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

WAIT_SECONDS = 30.0
"""How long the demo waits for a notification: they are sent by a job that follows within a second."""


@dataclass(slots=True)
class Browser:
    """Somebody's browser: its keys, and the notifications that it showed."""

    private: EllipticCurvePrivateKey
    auth: bytes
    shown: list[dict[str, Any]] = field(default_factory=list)

    def subscription(self, endpoint: str) -> str:
        """What ``pushManager.subscribe`` gives a page."""
        keys = {"p256dh": _text(_point(self.private)), "auth": _text(self.auth)}
        return msgspec.json.encode({"endpoint": endpoint, "keys": keys}).decode()

    def read(self, body: bytes) -> dict[str, Any]:
        """Raises ValueError, cryptography's InvalidTag for what was not meant for this browser."""
        salt, size, theirs_raw = body[:16], body[20], body[21 : 21 + body[20]]
        theirs = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), theirs_raw)
        info = b"WebPush: info\x00" + _point(self.private) + theirs_raw
        secret = _derive(self.private.exchange(ECDH(), theirs), self.auth, info, 32)
        key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
        text = AESGCM(key).decrypt(nonce, body[21 + size :], None)
        return dict(msgspec.json.decode(text.rstrip(b"\x00").removesuffix(b"\x02"), type=dict[str, Any]))


@dataclass(slots=True)
class Endpoint:
    """The push service. ``browsers`` by who sits before them."""

    url: str = ""
    browsers: dict[str, Browser] = field(default_factory=dict)
    refused: int = 0
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def subscribe(self, login: str) -> str:
        self.browsers[login] = Browser(generate_private_key(SECP256R1()), os.urandom(16))
        return self.browsers[login].subscription(f"{self.url}/{login}")

    def take(self, login: str, headers: Any, body: bytes) -> int:
        """What a push service answers: 201 where it takes a message."""
        browser = self.browsers.get(login)
        if browser is None:
            return 410
        signed = str(headers.get("authorization", "")).startswith("vapid t=")
        if not signed or headers.get("content-encoding") != "aes128gcm":
            self.refused += 1
            return 400
        with self.arrived:
            browser.shown.append(browser.read(body))
            self.arrived.notify_all()
        return 201

    def wait_for(self, login: str, kind: str) -> dict[str, Any]:
        """The first notification of this kind that the browser showed. Raises RuntimeError where none comes."""

        def found() -> dict[str, Any] | None:
            return next((each for each in self.browsers[login].shown if kind in str(each)), None)

        with self.arrived:
            if not self.arrived.wait_for(lambda: found() is not None, WAIT_SECONDS):
                raise RuntimeError(f"{login}'s browser showed no {kind}: {self.browsers[login].shown}")
        shown = found()
        assert shown is not None
        return shown


@contextmanager
def push_endpoint() -> Iterator[Endpoint]:
    """A push service on a free port of this machine, until the block ends."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(endpoint.take(self.path.removeprefix("/"), self.headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            """The demo tells what happens itself."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.1}, name="push endpoint")
    thread.start()
    try:
        yield endpoint
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def vapid_key() -> bytes:
    """A new key pair that a server signs its messages with, as PEM."""
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _point(private: EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _derive(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)
