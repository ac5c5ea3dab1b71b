"""The carriers, on this machine: what Google, Expo and browsers' vendors answer over HTTP/1.1, and Apple over real
HTTP/2 with TLS. They remember what they were sent, and give the answers they are told to give, then good ones."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import msgspec
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from homing.settings import Settings


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


NEVER = Reply(0)


@dataclass
class Vendors:
    """``replies``: what to answer first, by path, or by the token a message is for; in order, then a good answer.
    ``receipts``: Expo's, by ticket."""

    seen: list[Seen] = field(default_factory=list)
    replies: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    receipts: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    hanging: threading.Event = field(default_factory=threading.Event)
    """Set once somebody waits for an answer that never comes."""

    def sent(self, prefix: str) -> list[Seen]:
        return [each for each in self.seen if each.path.startswith(prefix)]

    def answer(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        if self.replies[seen.path]:
            return self.replies[seen.path].pop(0)
        match seen.path.split("/"):
            case ["", "token"]:
                return Reply(200, {"access_token": f"ya29.{len(self.sent('/token'))}", "expires_in": 3599})
            case ["", "v1", "projects", _, "messages:send"]:
                return self._for(seen.json["message"]["token"], Reply(200, {"name": "projects/homing-test/messages/1"}))
            case ["", "3", "device", token]:
                return self._for(token, Reply(200, headers={"apns-id": "a-1"}))
            case ["", "expo", "send"]:
                good = {"status": "ok"}
                tickets = [
                    self._for(each["to"], Reply(200, {**good, "id": f"ticket-{each['to']}"})).body for each in seen.json
                ]
                return Reply(200, {"data": tickets})
            case ["", "expo", "getReceipts"]:
                return Reply(200, {"data": {k: v for k, v in self.receipts.items() if k in seen.json["ids"]}})
            case ["", "browser", _]:
                return Reply(201, headers={"location": f"{self.url}/message/1"})
        return Reply(404)

    def _for(self, token: str, good: Reply) -> Reply:
        return self.replies[token].pop(0) if self.replies[token] else good

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        reply = self.answer(Seen(scope["path"], headers, body))
        if reply is NEVER:
            self.hanging.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(name.encode(), value.encode()) for name, value in reply.headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": _written(reply)})


@contextmanager
def vendors_serving() -> Iterator[Vendors]:
    """Google, Expo and the browsers' vendors."""
    vendors = Vendors()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        vendors.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(vendors, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield vendors
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def apple_serving(folder: Path) -> Iterator[Vendors]:
    """Apple: HTTP/2 only, with a certificate of an authority in ``folder/ca.pem``."""
    vendors = Vendors()
    context = _certify(folder)
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _speak(vendors, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        vendors.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stopping.wait()
        server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield vendors
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


async def _speak(vendors: Vendors, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    conn.initiate_connection()
    writer.write(conn.data_to_send())
    streams: dict[int, tuple[dict[str, str], bytearray]] = {}
    while data := await reader.read(65536):
        for event in conn.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    streams[event.stream_id] = ({str(k): str(v) for k, v in event.headers}, bytearray())
                case h2.events.DataReceived():
                    streams[event.stream_id][1].extend(event.data)
                    conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    headers, body = streams.pop(event.stream_id)
                    path = headers[":path"]
                    plain = {name: value for name, value in headers.items() if not name.startswith(":")}
                    reply = vendors.answer(Seen(path, plain, bytes(body)))
                    conn.send_headers(event.stream_id, [(":status", str(reply.status)), *reply.headers.items()])
                    conn.send_data(event.stream_id, _written(reply), end_stream=True)
        writer.write(conn.data_to_send())
        await writer.drain()


def _written(reply: Reply) -> bytes:
    if isinstance(reply.body, bytes):
        return reply.body
    return b"" if reply.body is None else json.dumps(reply.body).encode()


def _certify(folder: Path) -> ssl.SSLContext:
    """A throw-away authority, and a server's certificate of it."""
    now = datetime.now(UTC)

    def certificate(name: str, key: Any, issuer: str, signer: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=1),
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = certificate("ca", ca_key, "ca", ca_key, x509.BasicConstraints(ca=True, path_length=None), identifier)
    own = certificate(
        "apple",
        key,
        "ca",
        ca_key,
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "own.pem").write_bytes(own.public_bytes(Encoding.PEM) + _pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "own.pem")
    context.set_alpn_protocols(["h2"])
    return context


@dataclass(frozen=True)
class Secrets:
    """What the settings' files hold."""

    service_account: rsa.RSAPrivateKey
    apns: ec.EllipticCurvePrivateKey
    vapid: ec.EllipticCurvePrivateKey


def configure(
    settings: Settings, folder: Path, vendors: Vendors, apple: Vendors | None = None
) -> tuple[Settings, Secrets]:
    """Settings with all carriers, those that run here."""
    secrets = Secrets(
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    account = {
        "type": "service_account",
        "project_id": "homing-test",
        "private_key_id": "k1",
        "private_key": _pem(secrets.service_account).decode(),
        "client_email": "push@homing-test.iam.gserviceaccount.com",
        "token_uri": f"{vendors.url}/token",
    }
    (folder / "fcm.json").write_text(json.dumps(account))
    (folder / "apns.p8").write_bytes(_pem(secrets.apns))
    (folder / "vapid.pem").write_bytes(_pem(secrets.vapid))
    configured = msgspec.structs.replace(
        settings,
        push_fcm_credentials=folder / "fcm.json",
        push_fcm_url=vendors.url,
        push_vapid_key=folder / "vapid.pem",
        push_vapid_contact="mailto:ops@example.org",
        push_expo=True,
        push_expo_url=f"{vendors.url}/expo",
        push_private_endpoints=True,
    )
    if apple is not None:
        configured = msgspec.structs.replace(
            configured,
            push_apns_key=folder / "apns.p8",
            push_apns_key_id="ABC123DEFG",
            push_apns_team_id="DEF123GHIJ",
            push_apns_topic="org.example.market",
            push_apns_url=apple.url,
            push_ca=folder / "ca.pem",
        )
    return configured, secrets


def _pem(key: Any) -> bytes:
    found: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return found
