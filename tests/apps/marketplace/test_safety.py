"""Nothing that anybody sends breaks the marketplace, and nobody reads or changes what is not theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.marketplace.scene import API, item, ok, push
from tests.fixtures.accounts import SignIn
from tests.fixtures.server import Server

NASTY: list[Any] = [
    None, True, -1, 0, 1.5, 2**31, 2**63, 2**64, 10**400, -0.0, "", " ", "x" * 70_000, "😀" * 300, "a\u0301", "%s",
    "'; DROP TABLE marketplace.jobs; --", "{}", [], [[]], ["a"] * 60, [None], {}, {"a": {"b": []}},
    "2026-13-45T99:99:99Z", "00000000-0000-0000-0000-000000000000", "open", "NaN",
]  # fmt: skip
RAW = [b"", b"{", b"[]", b"null", b'"a"', b'{"title": NaN}', b'{"title": "\\u0000"}', b'{"title": "\\ud800"}',
       b'{"title": "a", "title": "b"}', b"\xff", b'{"a":' * 40 + b"1" + b"}" * 40]  # fmt: skip


@pytest.fixture(scope="module")
def settings(module_settings: Any) -> Any:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


class Deal:
    """Cleo's open job with Fay's proposal, Cleo's draft, a message between them, their profiles."""

    def __init__(self, new_person: SignIn) -> None:
        self.cleo, self.fay, self.eve = (new_person(name, device_id=name) for name in ("cleo", "fay", "eve"))
        post = lambda person, path, **body: ok(person.http.post(API + path, json=body))["id"]  # noqa: E731
        self.profile = ok(self.cleo.http.put(f"{API}/profile", json={"name": "Cleo", "is_listed": False}))["id"]
        self.job = post(self.cleo, "/jobs", title="Inbox")
        self.draft = post(self.cleo, "/jobs", title="Secret", status="draft")
        self.proposal = post(self.fay, "/proposals", job_id=self.job, amount_cents=100, cover_letter="Secret")
        self.saved = post(self.fay, "/saved-jobs", job_id=self.job)
        self.message = post(self.fay, "/messages", recipient_id=self.cleo.id, content="Secret")


def test_no_value_of_a_column_is_a_bug(new_person: SignIn) -> None:
    cleo, fay = new_person("cleo-of-values"), new_person("fay-of-values", device_id="fay-of-values")
    job = ok(cleo.http.post(f"{API}/jobs", json={"title": "Inbox"}))["id"]
    rows = {
        "profile": ok(fay.http.put(f"{API}/profile", json={"name": "Fay"}))["id"],
        "job": ok(fay.http.post(f"{API}/jobs", json={"title": "Mine"}))["id"],
        "proposal": ok(fay.http.post(f"{API}/proposals", json={"job_id": job, "amount_cents": 1}))["id"],
        "saved_job": ok(fay.http.post(f"{API}/saved-jobs", json={"job_id": job}))["id"],
        "message": ok(fay.http.post(f"{API}/messages", json={"recipient_id": cleo.id, "content": "Hi"}))["id"],
    }
    schema = {table["resource_type"]: table for table in ok(fay.http.get(f"{API}/mobile/schema"))["tables"]}
    items = [
        item(kind, action, **({column["name"]: value} | ({"id": rows[kind]} if action == "update" else {})))
        for kind in rows
        for column in schema[kind]["columns"]
        for action in ("create", "update")
        if action in column["writable"] and column["name"] not in ("status", "is_listed")
        for value in NASTY
    ]
    assert len(items) > 1000
    for n in range(0, len(items), 400):
        for result in push(fay, *items[n : n + 400]):
            assert result["status"] in ("ok", "error", "conflict")
            assert result.get("code") != "internal"


def test_no_body_is_a_bug(new_person: SignIn) -> None:
    cleo, fay = new_person("cleo-of-bodies"), new_person("fay-of-bodies")
    job = ok(cleo.http.post(f"{API}/jobs", json={"title": "Inbox"}))["id"]
    profile = ok(fay.http.put(f"{API}/profile", json={"name": "Fay"}))["id"]
    proposal = ok(fay.http.post(f"{API}/proposals", json={"job_id": job, "amount_cents": 1}))["id"]
    routes: list[tuple[str, str, tuple[str, ...]]] = [
        ("POST", "/jobs", ()),
        ("PATCH", f"/jobs/{job}", ("server_version",)),
        ("POST", f"/jobs/{job}/status", ("status",)),
        ("PUT", "/profile", ()),
        ("PATCH", f"/profiles/{profile}", ("server_version",)),
        ("POST", "/proposals", ()),
        ("POST", f"/proposals/{proposal}/status", ("status",)),
        ("POST", "/saved-jobs", ("job_id",)),
        ("POST", "/messages", ("recipient_id",)),
        ("POST", "/images", ("key",)),
    ]
    bodies = [(method, path, raw) for method, path, _ in routes for raw in RAW]
    bodies += [
        (method, path, json.dumps({name: value}).encode())
        for method, path, names in routes
        for name in names
        for value in NASTY[::2]
    ]
    for method, path, body in bodies:
        answer = fay.http.request(method, API + path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 429, (method, path, body[:200], answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


def test_no_parameter_is_a_bug(new_person: SignIn) -> None:
    fay = new_person("fay-of-parameters")
    lists = {
        "/jobs": (
            "box",
            "q",
            "skills",
            "budget_kind",
            "budget_min",
            "budget_max",
            "status",
            "platform",
            "limit",
            "after",
        ),
        "/profiles": ("q", "skills", "kind", "available", "platform", "limit", "after"),
        "/proposals": ("box", "status", "job", "platform", "limit", "after"),
        "/saved-jobs": ("platform", "limit", "after"),
        "/messages": ("with", "job", "unread", "limit", "after"),
    }
    texts = ["", "\u0000", "a'b\\\"((", "😀,\u0130", "!&|<->", "a" * 300, str(2**70), "NaN",
             "W10", "WyJpbmZpbml0eSIsIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJd"]  # fmt: skip
    for path, names in lists.items():
        for name in names:
            for text in texts:
                answer = fay.http.get(API + path, params={name: text})
                assert answer.status_code in (200, 400), (path, name, text, answer.text)


def test_a_stranger_reads_and_changes_nothing(new_person: SignIn) -> None:
    deal = Deal(new_person)
    eve = deal.eve
    secret = {"title": "Mine", "name": "Mine", "amount_cents": 1}
    for method, path, body in [
        ("GET", f"/jobs/{deal.draft}", None),
        ("GET", f"/jobs/{deal.draft}/proposals", None),
        ("GET", f"/proposals/{deal.proposal}", None),
        ("GET", f"/profiles/{deal.profile}", None),
        ("PATCH", f"/jobs/{deal.job}", {"title": secret["title"]}),
        ("PATCH", f"/jobs/{deal.draft}", {"title": secret["title"]}),
        ("POST", f"/jobs/{deal.job}/status", {"status": "cancelled"}),
        ("PATCH", f"/profiles/{deal.profile}", {"name": secret["name"]}),
        ("PATCH", f"/proposals/{deal.proposal}", {"amount_cents": 1}),
        ("POST", f"/proposals/{deal.proposal}/status", {"status": "accepted"}),
        ("POST", f"/messages/{deal.message}/read", None),
        ("DELETE", f"/saved-jobs/{deal.saved}", None),
    ]:
        answer = eve.http.request(method, API + path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path, answer.text)
    assert ok(eve.http.get(f"{API}/jobs/{deal.job}/proposals"))["items"] == []
    for path in ("/proposals", "/proposals?box=received", "/saved-jobs", "/messages"):
        assert ok(eve.http.get(API + path))["items"] == []
    items = [
        item("job", "update", id=deal.job, title="Mine"),
        item("proposal", "update", id=deal.proposal, status="accepted"),
        item("profile", "update", id=deal.profile, name="Mine"),
        item("message", "update", id=deal.message, is_read=True),
        {"resource_type": "marketplace.saved_job", "action": "delete", "payload": {"id": deal.saved}},
        {"resource_type": "marketplace.job", "action": "delete", "payload": {"id": deal.job}},
    ]
    assert {(result["status"], result["code"]) for result in push(eve, *items)} == {("error", "not_found")}
    message = {"recipient_id": eve.id, "content": "About a secret", "job_id": deal.draft}
    assert ok(deal.cleo.http.post(f"{API}/messages", json=message))["job_id"] == deal.draft
    answer = eve.http.post(f"{API}/messages", json={**message, "recipient_id": deal.cleo.id})
    assert (answer.status_code, answer.json()["code"]) == (422, "fk_missing")


def test_nobody_counts_as_signed_in(new_person: SignIn, http: Any) -> None:
    deal = Deal(
        lambda name, **more: new_person(
            f"{name}-of-nobody", **{key: f"{value}-of-nobody" for key, value in more.items()}
        )
    )
    for path in (
        "/jobs",
        f"/jobs/{deal.job}",
        "/profiles",
        f"/profiles/{deal.profile}",
        "/proposals",
        "/saved-jobs",
        "/messages",
    ):
        assert http.get(API + path).status_code == 401
    assert http.get("/api/jobs/marketplace?platform=mobile&limit=20").status_code == 401


def test_the_office_sees_the_market_but_reads_no_letters(new_person: SignIn) -> None:
    name = lambda login, **more: new_person(f"{login}-of-office", **{k: f"{v}-of-office" for k, v in more.items()})  # noqa: E731
    deal, office = Deal(name), new_person("olga", role="OWNER")
    assert ok(office.http.get(f"{API}/jobs/{deal.draft}"))["title"] == "Secret"
    assert deal.draft in {row["id"] for row in ok(office.http.get(f"{API}/jobs", params={"status": "draft"}))["items"]}
    assert ok(office.http.get(f"{API}/proposals/{deal.proposal}"))["cover_letter"] == "Secret"
    assert office.http.post(f"{API}/messages/{deal.message}/read").status_code == 404
    assert ok(office.http.get(f"{API}/messages"))["items"] == []
    cancelled = office.http.post(f"{API}/jobs/{deal.job}/status", json={"status": "cancelled"})
    assert ok(cancelled)["status"] == "cancelled"
