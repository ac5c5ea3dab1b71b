"""The office without a browser: at the API, and at the console's pages as plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.fixtures.accounts import PASSWORD, login
from tests.fixtures.server import Server


@contextmanager
def office(server: Server, username: str = "olga@example.org") -> Iterator[httpx.Client]:
    """A client of the API, signed in."""
    tokens = login(server, username).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=bearer, timeout=30) as client:
        yield client


@contextmanager
def entered(server: Server, username: str = "olga@example.org", *, tenant: str | None = None) -> Iterator[httpx.Client]:
    """What a browser sends that signed in to the console."""
    with httpx.Client(base_url=f"{server.url}/console", headers={"origin": server.url}, timeout=30) as client:
        where = "/sign-in" if tenant is None else f"/sign-in?tenant={tenant}"
        answer = client.post(where, data={"login": username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        yield client
