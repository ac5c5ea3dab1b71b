"""A server that speaks as much of Stripe's API as payments use: payment intents, created once for each idempotency key.

``StripeServer.behave`` says what happens to the next requests; ``on_create`` is called while a request is being
answered: what is true in that moment is true while the gateway is asked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlsplit

SECRET_KEY = "sk_test_homing"
WEBHOOK_SECRET = "whsec_homing"

Refusal = tuple[int, dict[str, Any]]


@dataclass
class StripeServer:
    """``requests``: method, path, form and idempotency key of each. ``intents`` by id, ``refunds`` by key."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], str | None]] = field(default_factory=list)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    behave: list[Refusal] = field(default_factory=list)
    on_create: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, form: dict[str, str], key: str | None) -> Refusal:
        with self.lock:
            self.requests.append((method, path, form, key))
            if self.behave:
                return self.behave.pop(0)
        if path.startswith("/v1/refunds"):
            return self.refund(method, path, form, key)
        if method == "GET":
            intent = self.intents.get(path.rpartition("/")[2])
            return (200, intent) if intent else (404, error("invalid_request_error", "No such payment_intent"))
        self.on_create()
        with self.lock:
            assert key is not None
            if key not in self.by_key:
                number = f"pi_{len(self.intents) + 1}"
                self.by_key[key] = number
                self.intents[number] = intent = {
                    "id": number,
                    "object": "payment_intent",
                    "amount": int(form["amount"]),
                    "currency": form["currency"],
                    "status": "requires_payment_method",
                    "client_secret": f"{number}_secret_x",
                    "metadata": {k[9:-1]: v for k, v in form.items() if k.startswith("metadata[")},
                }
            return 200, self.intents[self.by_key[key]]

    def refund(self, method: str, path: str, form: dict[str, str], key: str | None) -> Refusal:
        if method == "GET":
            intent = parse_qs(urlsplit(path).query)["payment_intent"][0]
            found = [each for each in self.refunds.values() if each["payment_intent"] == intent]
            return 200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found[::-1]}
        with self.lock:
            made = self.refunds.setdefault(
                key or "",
                {
                    "id": f"re_{len(self.refunds) + 1}",
                    "object": "refund",
                    "amount": int(form["amount"]),
                    "currency": "usd",
                    "payment_intent": form["payment_intent"],
                    "status": "pending",
                    "metadata": {k[9:-1]: v for k, v in form.items() if k.startswith("metadata[")},
                },
            )
        self.on_create()
        return 200, made


def error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


@contextmanager
def stripe_server() -> Iterator[StripeServer]:
    state = StripeServer()

    class Handler(BaseHTTPRequestHandler):
        stripe: ClassVar[StripeServer] = state
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes, and the second would wait 40 ms

        def do_GET(self) -> None:
            self._reply("GET", b"")

        def do_POST(self) -> None:
            self._reply("POST", self.rfile.read(int(self.headers.get("content-length", 0))))

        def _reply(self, method: str, body: bytes) -> None:
            if self.headers.get("authorization") != f"Bearer {SECRET_KEY}":
                status, document = 401, error("invalid_request_error", "Invalid API Key provided: sk_****ng")
            else:
                form = dict(parse_qsl(body.decode()))
                status, document = state.answer(method, self.path, form, self.headers.get("idempotency-key"))
            encoded = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    state.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, name="stripe")
    thread.start()
    try:
        yield state
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
