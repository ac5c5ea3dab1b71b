"""Keys of devices: how they may be given, what they sign, and what is demanded of a device that has one."""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import OKPKey

from homing.protocol.enrolment import enrolment_proof, session_proof
from homing.settings import Settings
from tests.fixtures.accounts import Person
from tests.fixtures.server import Server

ENROLLMENTS = "/api/v1/enrollments"
REFUSED = (401, "invalid_proof", "stop")


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Phone:
    """A device with an Ed25519 key, speaking to the server by hand."""

    def __init__(self, server: Server) -> None:
        self.url = f"{server.url}/api/v1"
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.name = f"phone-{uuid4().hex[:8]}"
        self.tokens: dict[str, Any] = {}

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": text(self.key.public_key().public_bytes_raw())}

    def sign(self, message: bytes) -> str:
        return text(self.key.sign(message))

    def enrol(self, token: dict[str, Any], **changed: Any) -> httpx.Response:
        proof = enrolment_proof(handle=UUID(token["handle"]), device=self.name, fingerprint=token["fingerprint"])
        body = {"device_id": self.name, "username": self.name, "secret": token["secret"], "public_key": self.jwk}
        answer = httpx.post(
            f"{self.url}/enrollments/{token['handle']}/complete", json=body | {"signature": self.sign(proof)} | changed
        )
        if answer.is_success:
            self.tokens = answer.json()
        return answer

    def challenge(self, **changed: Any) -> str:
        answer = httpx.post(f"{self.url}/auth/challenge", json={"device_id": self.name} | changed)
        return str(answer.raise_for_status().json()["challenge"])

    def refresh(self, **changed: Any) -> httpx.Response:
        token, challenge = self.tokens["refresh_token"], self.challenge()
        message = session_proof(purpose="refresh", device=self.name, challenge=challenge, subject=token)
        body = {"refresh_token": token, "challenge": challenge, "signature": self.sign(message)}
        return httpx.post(f"{self.url}/auth/refresh", json=body | changed)


@pytest.fixture
def phone(server: Server) -> Phone:
    return Phone(server)


@pytest.fixture
def token(owner: Person) -> dict[str, Any]:
    made: dict[str, Any] = owner.http.post(ENROLLMENTS, json={}).json()
    return made


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.json()["action"]


def pinned(settings: Settings, device: str) -> Any:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(
            "SELECT public_key, public_key_at IS NOT NULL FROM homing.mobile_devices WHERE device_id = %s", [device]
        ).fetchone()


def test_a_challenge_is_the_servers_and_this_devices(server: Server, phone: Phone, token: dict[str, Any]) -> None:
    answer = httpx.post(f"{phone.url}/auth/challenge", json={"device_id": phone.name, "nonce": "mine"})
    found = answer.json()
    assert (answer.status_code, found) == (
        200,
        {"challenge": found["challenge"], "expires_in": 120, "server_key": found["server_key"]},
    )
    key = OKPKey.import_key(found["server_key"])
    assert key.thumbprint() == token["fingerprint"]
    said = jws.deserialize_compact(found["challenge"], key, algorithms=["Ed25519"])
    assert b'"aud":"default"' in said.payload
    assert f'"device":"{phone.name}","nonce":"mine"'.encode() in said.payload


def test_a_key_is_pinned_and_demanded_from_then_on(settings: Settings, phone: Phone, token: dict[str, Any]) -> None:
    assert phone.enrol(token).status_code == 201
    assert pinned(settings, phone.name) == (phone.jwk, True)
    bare = httpx.post(f"{phone.url}/auth/refresh", json={"refresh_token": phone.tokens["refresh_token"]})
    assert refused(bare) == REFUSED
    answer = phone.refresh()
    assert answer.status_code == 200
    phone.tokens = answer.json()
    assert phone.refresh().status_code == 200


def test_a_key_given_without_a_proof_must_prove_itself_at_the_first_refresh(
    settings: Settings, phone: Phone, token: dict[str, Any]
) -> None:
    """The contract's clients send no signature when they enrol."""
    assert phone.enrol(token, signature=None).status_code == 201
    assert pinned(settings, phone.name) == (phone.jwk, True)
    assert refused(phone.refresh(signature=None)) == REFUSED
    assert phone.refresh().status_code == 200


@pytest.mark.parametrize("wrong", ["key", "device", "token", "server", "text", "empty"])
def test_a_wrong_proof_enrols_nobody_and_costs_nothing(
    server: Server, owner: Person, phone: Phone, token: dict[str, Any], wrong: str
) -> None:
    handle, name, fingerprint, signer = UUID(token["handle"]), phone.name, token["fingerprint"], phone
    match wrong:
        case "key":
            signer = Phone(server)
        case "device":
            name = "another"
        case "token":
            handle = uuid4()
        case "server":
            fingerprint = "A" * 43
    signature = signer.sign(enrolment_proof(handle=handle, device=name, fingerprint=fingerprint))
    signature = {"text": "!!!", "empty": ""}.get(wrong, signature)
    assert refused(phone.enrol(token, signature=signature)) == REFUSED
    assert phone.enrol(token).status_code == 201


@pytest.mark.parametrize("wrong", ["key", "purpose", "device", "subject", "challenge", "altered", "old", "none"])
def test_an_answer_counts_for_what_it_was_made_for_and_nothing_else(
    server: Server, phone: Phone, token: dict[str, Any], wrong: str
) -> None:
    phone.enrol(token)
    refresh_token = phone.tokens["refresh_token"]
    challenge, purpose, subject, signer, name = phone.challenge(), "refresh", refresh_token, phone, phone.name
    clock = server.tenant.clock
    match wrong:
        case "key":
            signer = Phone(server)
        case "purpose":
            purpose = "login"
        case "device":
            challenge = phone.challenge(device_id="another")
        case "subject":
            subject = "hr_another"
        case "challenge":
            challenge = "nonsense"
        case "altered":
            challenge = challenge[:-6] + "AAAAAA"
        case "old":
            server.tenant.clock = lambda: datetime.now(UTC) + timedelta(seconds=125)
    message = session_proof(purpose=purpose, device=name, challenge=challenge, subject=subject)
    body = {"refresh_token": refresh_token, "challenge": challenge, "signature": signer.sign(message)}
    if wrong == "none":
        del body["challenge"]
    try:
        assert refused(httpx.post(f"{phone.url}/auth/refresh", json=body)) == REFUSED
    finally:
        server.tenant.clock = clock
    assert phone.refresh().status_code == 200


def test_what_the_server_signed_for_something_else_is_no_challenge(
    server: Server, phone: Phone, token: dict[str, Any], owner: Person
) -> None:
    phone.enrol(token)
    other = owner.http.post(ENROLLMENTS, json={}).json()
    proof = httpx.get(f"{phone.url}/enrollments/{other['handle']}?nonce=n").json()["proof"]
    message = session_proof(
        purpose="refresh", device=phone.name, challenge=proof, subject=phone.tokens["refresh_token"]
    )
    assert refused(phone.refresh(challenge=proof, signature=phone.sign(message))) == REFUSED


def ed25519_forms() -> Iterator[tuple[str, Any]]:
    public = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()
    raw = public.public_bytes_raw()
    yield "raw", text(raw)
    yield "padded", base64.b64encode(raw).decode()
    yield "jwk", {"kty": "OKP", "crv": "Ed25519", "x": text(raw), "kid": "left out"}
    yield "pem", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    yield "der", base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.parametrize(("form", "given"), list(ed25519_forms()), ids=[form for form, _ in ed25519_forms()])
def test_every_spelling_of_a_key_is_the_same_key(
    settings: Settings, phone: Phone, token: dict[str, Any], form: str, given: Any
) -> None:
    assert phone.enrol(token, public_key=given, signature=None).status_code == 201
    public = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()
    assert pinned(settings, phone.name) == (
        {"kty": "OKP", "crv": "Ed25519", "x": text(public.public_bytes_raw())},
        True,
    )


@pytest.mark.parametrize("encoding", ["der", "jose"])
def test_a_key_from_a_phones_key_store(phone: Phone, token: dict[str, Any], encoding: str) -> None:
    """P-256, with signatures as platforms make them, or as JOSE writes them."""
    key = ec.generate_private_key(ec.SECP256R1())

    def sign(message: bytes) -> str:
        raw = key.sign(message, ec.ECDSA(hashes.SHA256()))
        if encoding == "jose":
            raw = b"".join(number.to_bytes(32) for number in decode_dss_signature(raw))
        return text(raw)

    given = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    phone.sign = sign  # type: ignore[method-assign]
    assert phone.enrol(token, public_key=base64.b64encode(given).decode()).status_code == 201
    assert phone.refresh().status_code == 200
    assert refused(phone.refresh(signature=sign(b"something else"))) == REFUSED


def other_keys() -> Iterator[Any]:
    for public in (
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
    ):
        yield public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    yield "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
    yield text(b"k" * 31)
    yield {"kty": "EC", "crv": "P-256", "x": text(b"\1" * 32), "y": text(b"\2" * 32)}
    yield {"kty": "OKP", "crv": "Ed25519", "x": "!"}


@pytest.mark.parametrize("given", list(other_keys()), ids=["rsa", "p384", "pem", "short", "off the curve", "no base64"])
def test_other_keys_are_refused(phone: Phone, token: dict[str, Any], given: Any) -> None:
    answer = phone.enrol(token, public_key=given)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_envelope")


def test_a_phone_enrolled_again_with_another_key_is_looked_at_by_the_office(
    server: Server, owner: Person, phone: Phone, token: dict[str, Any]
) -> None:
    """A phone that was set up anew, or another one that took its name: it gets in, but its edits wait."""
    phone.enrol(token)
    again = Phone(server)
    again.name = phone.name
    second = owner.http.post(ENROLLMENTS, json={}).json()
    device = again.enrol(second, username=f"{phone.name}-2").json()["device"]
    assert (device["trust_score"], [reason["reason"] for reason in device["trust_reasons"]]) == (0.4, ["key_changed"])
    assert again.refresh().status_code == 200
    assert phone.refresh().status_code == 401


def test_a_new_key_of_the_server_bars_nobody(
    settings: Settings,
    phone: Phone,
    owner: Person,
    token: dict[str, Any],
    servers: Callable[[Settings], Server],
) -> None:
    """Devices that know the old one are answered by it, until it is retired; so do QR codes on paper."""
    phone.enrol(token)
    waiting = owner.http.post(ENROLLMENTS, json={}).json()
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("INSERT INTO homing.keys (purpose, secret) VALUES ('identity', sha256('another'))")
    try:
        renewed = servers(settings)
        phone.url = f"{renewed.url}/api/v1"
        assert owner.http.post(f"{phone.url}/enrollments", json={}).json()["fingerprint"] != token["fingerprint"]
        asked = {"device_id": phone.name, "fingerprint": token["fingerprint"]}
        key = httpx.post(f"{phone.url}/auth/challenge", json=asked).json()["server_key"]
        assert OKPKey.import_key(key).thumbprint() == token["fingerprint"]
        assert phone.refresh().status_code == 200
        assert httpx.get(f"{phone.url}/enrollments/{waiting['token']}").json()["fingerprint"] == token["fingerprint"]
        other = Phone(renewed)
        assert other.enrol(waiting).status_code == 201
    finally:
        with psycopg.connect(settings.database_url) as conn:
            conn.execute("DELETE FROM homing.keys WHERE secret = sha256('another')")
