"""A device that enrols itself, from the text of the QR code to its edits at the office, with a key of its own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from homing.cli.client import command
from homing.client import Client, OtherUserError, RefusalError
from homing.client.device_key import find_key, key_path
from homing.client.store import Session
from homing.protocol.enrolment import NotACodeError
from homing.settings import Settings
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

NewClient = Callable[..., Client]


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def new_client(server: Server, tmp_path: Path) -> Iterator[NewClient]:
    clients = []

    def made(name: str = "r.db", transport: httpx.BaseTransport | None = None) -> Client:
        http = httpx.Client(transport=transport, timeout=30)
        clients.append(Client(tmp_path / name, server.url, http=http, sleep=lambda _: None))
        return clients[-1]

    yield made
    for client in clients:
        client.close()


def made(owner: Person, **wanted: Any) -> dict[str, Any]:
    token: dict[str, Any] = owner.http.post("/api/v1/enrollments", json=wanted).raise_for_status().json()
    return token


def public_key(settings: Settings, client: Client) -> Any:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        row = conn.execute(
            "SELECT public_key FROM homing.mobile_devices WHERE device_id = %s",
            [client.replica.store.state().device_id],
        ).fetchone()
    return None if row is None else row[0]


@pytest.mark.parametrize("given", ["deep_link", "token", "manual_code"])
def test_a_device_enrols_itself_and_syncs(settings: Settings, owner: Person, new_client: NewClient, given: str) -> None:
    client = new_client()
    name = f"ana-{given}"
    user = client.enroll(made(owner)[given], name, device_type="Pixel")
    assert (user["username"], user["user_type"], user["has_password"]) == (name, "mobile", False)
    key = find_key(client.replica.store.path)
    assert key is not None
    assert public_key(settings, client) == dict(key.public)
    assert key_path(client.replica.store.path).stat().st_mode & 0o777 == 0o600
    assert client.sync(verify=True).ok
    # A week later: the access token is long dead, the refresh token is redeemed with the key.
    session = client.replica.store.session()
    assert session is not None
    client.replica.store.set_session(Session("dead", session.refresh_token))
    assert client.sync().ok
    assert client.replica.store.session() != session


def test_a_stolen_refresh_token_is_worth_nothing_without_the_key(
    server: Server, owner: Person, new_client: NewClient
) -> None:
    client = new_client()
    client.enroll(made(owner)["deep_link"], "bea")
    session = client.replica.store.session()
    assert session is not None
    stolen = {"refresh_token": session.refresh_token}
    answer = httpx.post(f"{server.url}/api/v1/auth/refresh", json=stolen)
    assert (answer.status_code, answer.json()["code"], answer.json()["action"]) == (401, "invalid_proof", "stop")
    thief = new_client("thief.db")
    thief.enroll(made(owner)["deep_link"], "thief")
    key = find_key(thief.replica.store.path)
    assert key is not None
    device = client.replica.store.state().device_id
    asked = {"device_id": device, "nonce": "n"}
    challenge = httpx.post(f"{server.url}/api/v1/auth/challenge", json=asked).json()["challenge"]
    signature = key.sign_session(purpose="refresh", device=device, challenge=challenge, subject=session.refresh_token)
    answer = httpx.post(
        f"{server.url}/api/v1/auth/refresh", json=stolen | {"challenge": challenge, "signature": signature}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_proof")
    # And none of it hurt the session.
    client.replica.store.set_session(Session("dead", session.refresh_token))
    assert client.sync().ok


class Losing(httpx.HTTPTransport):
    """A line that loses the answers of some requests after the server has done them."""

    def __init__(self, part: str, times: int) -> None:
        super().__init__()
        self.part, self.times = part, times

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.part in request.url.path and self.times:
            self.times -= 1
            response.read()
            raise httpx.ReadError("the line is gone", request=request)
        return response


@pytest.mark.parametrize("given", ["deep_link", "token", "manual_code"])
@pytest.mark.parametrize("lost", [2, 7])
def test_lost_answers_enrol_one_device_once(
    server: Server, settings: Settings, owner: Person, new_client: NewClient, given: str, lost: int
) -> None:
    """Two are asked for again at once; after seven the application gives up, and tries again later."""
    token, name = made(owner)[given], f"carl-{given}-{lost}"
    client = new_client("r.db", Losing("/complete", lost))
    if lost == 7:
        with pytest.raises(RefusalError, match="unreachable"):
            client.enroll(token, name)
    user = client.enroll(token, name)
    assert client.sync().ok
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        rows = conn.execute("SELECT id::text FROM homing.users WHERE username = %s", [name]).fetchall()
    assert rows == [(user["id"],)]


def test_a_server_without_the_key_in_the_code_learns_no_secret(
    server: Server, owner: Person, new_client: NewClient, servers: Callable[[Settings], Server], tmp_path: Path
) -> None:
    token = made(owner)
    asked: list[httpx.Request] = []

    class Watched(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return super().handle_request(request)

    client = new_client("r.db", Watched())
    link = token["deep_link"].replace(token["fingerprint"], "A" * 43)
    with pytest.raises(RefusalError, match="wrong_server"):
        client.enroll(link, "dora")
    assert [request.method for request in asked] == ["GET"]
    assert token["secret"] not in str(asked[0].url)
    assert client.enroll(token["deep_link"], "dora")["username"] == "dora"


def test_what_is_refused_before_anything_is_sent(owner: Person, new_client: NewClient) -> None:
    token = made(owner)
    client = new_client()
    for text in ("nonsense", token["handle"], token["manual_code"][:-1] + "U"):
        with pytest.raises(NotACodeError):
            client.enroll(text, "eve")
    client.enroll(token["token"], "eve")
    with pytest.raises(OtherUserError):
        client.enroll(made(owner)["token"], "eva")


def test_a_taken_username_can_be_mended(owner: Person, new_client: NewClient) -> None:
    token = made(owner)
    client = new_client()
    with pytest.raises(RefusalError, match="already_exists"):
        client.enroll(token["token"], "olga@example.org")
    assert client.enroll(token["token"], "fritz")["username"] == "fritz"


def test_a_wipe_takes_the_key_along(owner: Person, new_client: NewClient) -> None:
    client = new_client()
    client.enroll(made(owner)["deep_link"], "gus")
    path = client.replica.store.path
    devices = owner.http.get("/api/v1/mobile/devices", params={"q": "gus"}).json()["items"]
    owner.http.patch(f"/api/v1/mobile/devices/{devices[0]['id']}", json={"status": "revoked"})
    report = client.sync()
    assert report.action == "wipe"
    assert not key_path(path).exists() or not path.exists()


def test_the_shell_enrols_with_the_text_of_the_code(
    owner: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command(["enroll", made(owner, username="hal")["deep_link"], "--json"], result_action="return_value")
    shown = json.loads(capsys.readouterr().out)
    assert (shown["user"]["username"], "meter" in shown["tables"]) == ("hal", True)
    command(["sync", "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert {"replica.db", "replica.db.key"} <= {path.name for path in tmp_path.iterdir()}


def test_passwords_and_keys_together(server: Server, owner: Person, new_person: SignIn, new_client: NewClient) -> None:
    """Somebody with a password on a device that was enrolled: both are asked for."""
    client = new_client()
    user = client.enroll(made(owner, role="OWNER")["deep_link"], "ida")
    password = "open the gate tonight"
    owner.http.patch(f"/api/v1/users/{user['id']}", json={"password": password}).raise_for_status()
    device = client.replica.store.state().device_id
    body = {"login": "ida", "password": password, "device_id": device}
    answer = httpx.post(f"{server.url}/api/v1/auth/login", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_proof")
    # Without a device name one may sign in, in a browser; but not take the device's name afterwards.
    del body["device_id"]
    tokens = httpx.post(f"{server.url}/api/v1/auth/login", json=body).json()
    answer = httpx.post(
        f"{server.url}/api/v1/mobile/devices",
        headers={"authorization": f"Bearer {tokens['access_token']}"},
        json={"device_id": device, "device_type": "x", "os_version": "1", "app_version": "1"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "device_mismatch")
    client.logout()
    assert client.login("ida", password)["id"] == user["id"]
    assert client.sync().ok
