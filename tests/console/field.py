"""Work that went on before the office looks: an office's API client, and people in the field with real replicas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from homing.client import Client
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, create_user
from tests.fixtures.server import Server

XSS = "<img src=x onerror=alert(1)>'\"</script><svg onload=alert(2)>{{7*7}}"
"""What no page may take for anything but text."""


@dataclass
class Field:
    """A server with fieldwork: the office's calls, and replicas by name."""

    server: Server
    settings: Settings
    folder: Path
    http: httpx.Client
    stack: ExitStack
    clients: dict[str, Client] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """The office's call, which must succeed."""
        answer = self.http.request(method, f"/api/v1{path}", json=body, params=params)
        assert not answer.is_error, answer.text
        return answer.json() if answer.content else None

    def worker(self, login: str, *, name: str = "", team: str | None = None) -> Client:
        """Somebody with a tablet, signed in and synced."""
        self.users[login] = str(create_user(self.settings.database_url or "", login, "WORKER", name))
        if team is not None:
            self.call("PUT", f"/teams/{team}/members/{self.users[login]}")
        client = Client(self.folder / f"{login}.db", self.server.url, rng=Random(1), sleep=lambda _seconds: None)
        self.stack.callback(client.close)
        client.login(login, PASSWORD)
        client.register_device(device_type="tablet", os_version="14", app_version="1.2.0")
        assert client.sync().ok
        self.clients[login] = client
        return client

    def device(self, login: str) -> dict[str, Any]:
        """The office's view of somebody's device."""
        name = self.clients[login].replica.status().device_id
        (found,) = self.call("GET", "/mobile/devices", q=name)["items"]
        return dict(found)

    def team(self, name: str) -> str:
        return str(self.call("POST", "/teams", {"name": name})["id"])

    def meter(self, code: str, team: str, **columns: Any) -> str:
        made = {"code": code, "reading": 50, "team_id": team, **columns}
        return str(self.call("POST", "/meters", made)["id"])

    def contest(self, login: str, meter: str, *, office: dict[str, Any], device: dict[str, Any]) -> str:
        """A conflict about a meter: both sides changed it. Its id."""
        client = self.clients[login]
        assert client.sync().ok
        self.call("PATCH", f"/meters/{meter}", office)
        client.replica.update("meter", meter, **device)
        assert client.sync().pushed.conflicts == 1
        (found,) = [c for c in self.call("GET", "/mobile/conflicts", limit=500)["items"] if c["resource_id"] == meter]
        return str(found["id"])


@contextmanager
def in_the_field(server: Server, settings: Settings, folder: Path) -> Iterator[Field]:
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=60))
        answer = http.post("/api/v1/auth/login", json={"login": "olga@example.org", "password": PASSWORD})
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Field(server, settings, folder, http, stack)
