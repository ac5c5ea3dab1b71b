"""What web clients that were written before there were phones ask for, and the exact answers they have always got.

Each file of ``old_web`` is a visit: requests in order, as somebody or as nobody, each with its status and its whole
answer. **They never change.** Whoever changes the marketplace so that one of these fails has broken somebody's web
page: what is new belongs into the form for phones, behind a new parameter, or to a new address. A visit may be added:
write its requests with ``"answer": null``, and the failure shows what to put there.

Ids that are made, tokens and the present time are replaced by names before they are compared. The words of a refusal
are for people, so of a problem its title and detail are left out. Where a step says ``at_least``, the answer is the
core's, and may have more members by now.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.fixtures.accounts import PASSWORD, Person, SignIn
from tests.fixtures.server import Server

FOLDER = Path(__file__).parent / "old_web"
VISITS = sorted(path.stem for path in FOLDER.glob("*.json"))
BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/100.0 Safari/537.36",
    "accept": "application/json, text/plain, */*",
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SECRETS = {"access_token", "refresh_token", "next"}

MARKET = (FOLDER / "market.sql").read_text(encoding="utf-8")


class Names:
    """Names for what is different each time: people, ids in the order in which they are first seen, tokens, now."""

    def __init__(self, **people: Person) -> None:
        self.ids = {person.id: f"<{name}>" for name, person in people.items()}

    def of(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self.of(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.of(inner) for inner in value]
        if isinstance(value, str) and key in SECRETS:
            return f"<{key}>"
        if isinstance(value, str) and TIME.fullmatch(value):
            recent = datetime.now(UTC) - datetime.fromisoformat(value) < timedelta(days=1)
            return "<now>" if recent else value
        if isinstance(value, str):
            return UUID.sub(lambda found: self.name(found[0]), value)
        return value

    def name(self, found: str) -> str:
        if found.startswith("00000000-0000-4000-8000-"):
            return found
        return self.ids.setdefault(found, f"<id {len(self.ids)}>")

    def filled(self, value: Any) -> Any:
        """The other way: a request's names replaced by what they stand for."""
        text = json.dumps(value)
        for real, name in self.ids.items():
            text = text.replace(name, real)
        return json.loads(text)


def expected_part(found: Any, expected: Any) -> Any:
    """``found``, of objects only the members that are expected."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return {name: expected_part(value, expected[name]) for name, value in found.items() if name in expected}
    return found


def play(steps: list[dict[str, Any]], names: Names, clients: dict[str, httpx.Client]) -> list[dict[str, Any]]:
    """The steps, with what is answered now."""
    played = []
    for step in steps:
        asked = names.filled({name: step[name] for name in ("path", "body") if name in step})
        client = clients[step.get("as", "")]
        headers = {**BROWSER, **step.get("headers", {})}
        answer = client.request(step["method"], asked["path"], json=asked.get("body"), headers=headers)
        found = names.of(answer.json()) if answer.content else None
        if step.get("at_least"):
            found = expected_part(found, step["answer"])
        elif answer.headers.get("content-type") == "application/problem+json":
            found = {name: value for name, value in found.items() if name not in ("title", "detail")}
        shown = {"content-type": answer.headers.get("content-type")} if answer.content else {}
        shown |= {"etag": answer.headers["etag"]} if "etag" in answer.headers else {}
        played.append({**step, "status": answer.status_code, "shown": shown, "answer": found})
    return played


@pytest.mark.parametrize("visit", VISITS)
def test_an_old_web_client_gets_what_it_always_got(
    visit: str, server: Server, settings: Any, http: httpx.Client, new_person: SignIn
) -> None:
    people = {name: new_person(name) for name in ("cleo", "fay")}
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        for statement in MARKET.strip().split(";\n"):
            conn.execute(statement, {name: person.id for name, person in people.items()})  # type: ignore[arg-type]
    steps = json.loads((FOLDER / f"{visit}.json").read_text(encoding="utf-8"))
    clients = {"": http, **{name: person.http for name, person in people.items()}}
    played = play(steps, Names(**people), clients)
    for before, now in zip(steps, played, strict=True):
        assert now == before


def test_asking_as_the_web_is_asking_as_before(server: Server, settings: Any, new_person: SignIn) -> None:
    people = {name: new_person(name) for name in ("cleo", "fay")}
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        for statement in MARKET.strip().split(";\n"):
            conn.execute(statement, {name: person.id for name, person in people.items()})  # type: ignore[arg-type]
    paths = {
        step["path"]
        for visit in VISITS
        for step in json.loads((FOLDER / f"{visit}.json").read_text(encoding="utf-8"))
        if step["method"] == "GET" and step.get("as") == "fay" and step["status"] == 200 and "<" not in step["path"]
    }
    assert len(paths) > 10
    for path in paths:
        plain = people["fay"].http.get(path)
        asked = people["fay"].http.get(f"{path}{'&' if '?' in path else '?'}platform=web")
        assert (asked.status_code, asked.content) == (plain.status_code, plain.content), path


def test_the_password_is_the_one_of_the_visits() -> None:
    assert PASSWORD in (FOLDER / "signing-in.json").read_text(encoding="utf-8")
