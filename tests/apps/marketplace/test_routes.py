"""The marketplace by REST, for the web and for phones that ask for the condensed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest

from homing.apps.marketplace.views import count_visits
from homing.postgres.database import Database
from tests.apps.marketplace.scene import API, ok, query, refused
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server
from tests.media.images import encoded, iphone_photo, opened, scene


@pytest.fixture(scope="module")
def settings(module_settings: Any) -> Any:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def client(new_person: SignIn, request: pytest.FixtureRequest) -> Person:
    return new_person(f"client-of-{request.node.name[:80]}")


@pytest.fixture
def freelancer(new_person: SignIn, request: pytest.FixtureRequest) -> Person:
    return new_person(f"freelancer-of-{request.node.name[:80]}")


@pytest.fixture(autouse=True)
def nothing_left(settings: Any) -> Iterator[None]:
    """Lists are of this test's rows."""
    yield
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM marketplace.jobs")
        conn.execute("DELETE FROM marketplace.profiles")


def post_job(person: Person, title: str = "Inbox for a dentist", **more: Any) -> Any:
    return ok(person.http.post(f"{API}/jobs", json={"title": title, **more}))


def propose(person: Person, job: Any, **more: Any) -> Any:
    return ok(person.http.post(f"{API}/proposals", json={"job_id": job["id"], "amount_cents": 50_000, **more}))


def titles(person: Person, path: str, **params: Any) -> list[str]:
    return [row["title"] for row in ok(person.http.get(path, params=params))["items"]]


def test_the_market_lists_open_jobs_newest_first_a_page_at_a_time(client: Person, freelancer: Person) -> None:
    for n in range(5):
        post_job(client, f"Job {n}")
    post_job(client, "A draft", status="draft")
    first = ok(freelancer.http.get(f"{API}/jobs", params={"limit": 3}))
    second = ok(freelancer.http.get(f"{API}/jobs", params={"limit": 3, "after": first["next"]}))
    assert [row["title"] for row in first["items"] + second["items"]] == [f"Job {n}" for n in (4, 3, 2, 1, 0)]
    assert second["next"] is None
    assert ok(freelancer.http.get("/api/jobs/marketplace", params={"limit": 3})) == first
    assert titles(client, f"{API}/jobs", box="offered", status="draft") == ["A draft"]
    assert refused(freelancer.http.get(f"{API}/jobs", params={"status": "draft"})) == (400, "invalid_parameter")
    for wrong in ({"after": "x"}, {"limit": 0}, {"platform": "fax"}, {"skills": " , "}, {"budget_min": "1e99"},
                  {"budget_min": -1}, {"status": "lost"}, {"q": "\0"}):  # fmt: skip
        assert refused(freelancer.http.get(f"{API}/jobs", params=wrong)) == (400, "invalid_parameter"), wrong


def test_jobs_are_found_by_words_skills_and_budget(client: Person, freelancer: Person) -> None:
    post_job(client, "Travel planner", description="Book flights and hotels", skills=["Travel", "Excel"],
             budget_min_cents=10_000, budget_max_cents=20_000)  # fmt: skip
    post_job(client, "Bookkeeper", description="Monthly invoices", skills=["excel", "QuickBooks"],
             budget_kind="hourly", budget_max_cents=4_000)  # fmt: skip
    for params, found in [
        ({"q": "booking flight"}, ["Travel planner"]),
        ({"q": "invoice or hotel"}, ["Bookkeeper", "Travel planner"]),
        ({"q": "-hotel"}, ["Bookkeeper"]),
        ({"skills": "EXCEL"}, ["Bookkeeper", "Travel planner"]),
        ({"skills": "excel, travel"}, ["Travel planner"]),
        ({"budget_min": 15_000}, ["Travel planner"]),
        ({"budget_max": 5_000}, ["Bookkeeper"]),
        ({"budget_kind": "hourly", "q": "monthly"}, ["Bookkeeper"]),
        ({"budget_min": 10**11}, []),
        ({"q": "'; DROP TABLE jobs --"}, []),
    ]:
        assert titles(freelancer, f"{API}/jobs", **params) == found, params


def test_what_many_jobs_have_is_found_page_by_page_as_what_few_have(
    client: Person, freelancer: Person, settings: Any
) -> None:
    """Among the newest, or by the index: the pages are the same jobs in the same order."""
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute(
            """INSERT INTO marketplace.jobs (client_id, title, description, skills, budget_max_cents, status)
               SELECT %s, 'Job ' || n, CASE WHEN n %% 3 = 0 THEN 'A rare bird' ELSE 'An assistant' END
                      || CASE WHEN n %% 6 = 1 THEN ' of a sixth' ELSE '' END,
                      CASE WHEN n %% 50 = 0 THEN ARRAY['Falconry'] ELSE ARRAY['Excel'] END, n,
                      CASE WHEN n %% 7 = 0 THEN 'draft' ELSE 'open' END::marketplace.job_status
               FROM generate_series(1, 300) n""",
            [client.id],
        )
    found = {}
    for params in (
        {"q": "assistant"},
        {"q": "birds"},
        {"q": "sixth"},
        {"skills": "excel"},
        {"skills": "falconry"},
        {"q": "assistant", "skills": "EXCEL", "budget_min": 100},
        {"q": "-assistant"},
    ):
        for limit in (7, 20, 500):
            jobs: list[Any] = []
            after: dict[str, str] = {}
            while True:
                page = ok(freelancer.http.get(f"{API}/jobs", params={**params, **after, "limit": limit}))
                jobs += [(row["created_at"], row["id"]) for row in page["items"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert jobs == sorted(set(jobs), reverse=True)
            assert found.setdefault(str(params), jobs) == jobs, (params, limit)
    assert [len(jobs) for jobs in found.values()] == [172, 86, 43, 252, 6, 113, 86]


def test_a_phone_gets_the_condensed_form(client: Person, freelancer: Person) -> None:
    ok(client.http.put(f"{API}/profile", json={"name": "Cleo & Co", "kind": "client", "bio": "We " + "grow " * 100}))
    skills = [f"Skill {n}" for n in range(8)]
    job = post_job(client, "Much to read", description="x" * 5000, skills=skills, budget_max_cents=100)
    web = ok(freelancer.http.get("/api/jobs/marketplace", params={"limit": 20}))["items"]
    assert web == [job | {"is_saved": False}]
    (mobile,) = ok(freelancer.http.get("/api/jobs/marketplace", params={"platform": "mobile", "limit": 20}))["items"]
    assert mobile == {
        "id": job["id"],
        "client_id": client.id,
        "title": "Much to read",
        "budget_kind": "fixed",
        "budget_min_cents": None,
        "budget_max_cents": 100,
        "currency": "USD",
        "status": "open",
        "created_at": job["created_at"],
        "server_version": 1,
        "image_url": None,
        "is_saved": False,
        "client_name": "Cleo & Co",
        "summary": "x" * 159 + "…",
        "skills": skills[:5],
    }
    assert ok(freelancer.http.get(f"{API}/jobs/{job['id']}", params={"platform": "mobile"})) == mobile
    profile = web[0]["client"]["profile_id"]
    condensed = ok(freelancer.http.get(f"/api/va/profiles/{profile}", params={"platform": "mobile"}))
    assert condensed == {
        "id": profile,
        "user_id": client.id,
        "kind": "client",
        "name": "Cleo & Co",
        "headline": None,
        "hourly_rate_cents": None,
        "currency": "USD",
        "is_available": True,
        "server_version": 1,
        "avatar_url": None,
        "summary": ("We " + "grow " * 100)[:159] + "…",
        "skills": [],
    }
    whole = ok(freelancer.http.get(f"/api/va/profiles/{profile}"))
    assert whole == ok(freelancer.http.get(f"{API}/profiles/{profile}", params={"platform": "web"}))
    assert whole["bio"] == "We " + "grow " * 100


@pytest.mark.parametrize("kind", ["jpeg", "heic"])
def test_a_picture_is_an_upload_that_became_an_image(
    client: Person, freelancer: Person, do_jobs: Callable[[], None], kind: str
) -> None:
    photo = encoded(scene()) if kind == "jpeg" else iphone_photo()
    body = {"filename": f"cleo.{kind}", "content_type": f"image/{kind}", "size_bytes": len(photo)}
    place = ok(client.http.post(f"{API}/mobile/media/presign", json=body))
    sent = client.http.request(place["method"], place["upload_url"], content=photo, headers=place["headers"])
    assert sent.status_code == 200, sent.text
    image = ok(client.http.post(f"{API}/images", json={"key": place["key"]}))
    assert ok(client.http.post(f"{API}/images", json={"key": place["key"]})) == image
    assert refused(freelancer.http.post(f"{API}/images", json={"key": place["key"]})) == (422, "media_missing")
    assert freelancer.http.get(image["url"]).status_code == 404
    stolen = freelancer.http.put(f"{API}/profile", json={"name": "F", "avatar_id": image["id"]})
    assert refused(stolen) == (422, "fk_missing")
    profile = ok(client.http.put(f"{API}/profile", json={"name": "Cleo", "avatar_id": image["id"]}))
    job = post_job(client, image_id=image["id"])
    assert profile["avatar_url"] == job["image_url"] == f"{image['url']}?variant=medium"
    small = ok(freelancer.http.get(f"{API}/jobs", params={"platform": "mobile"}))["items"][0]["image_url"]
    assert small == f"{image['url']}?variant=thumb"
    assert refused(freelancer.http.get(small)) == (503, "unavailable")  # being made smaller
    do_jobs()
    thumb = freelancer.http.get(small, follow_redirects=True)
    assert opened(thumb.content).size == (320, 240)
    listed = ok(client.http.patch(f"{API}/profiles/{profile['id']}", json={"is_listed": False, "avatar_id": None}))
    assert listed["avatar_url"] is None
    ok(client.http.patch(f"{API}/jobs/{job['id']}", json={"image_id": None}))
    assert freelancer.http.get(image["url"]).status_code == 404


def test_proposals_are_locked_by_their_version(client: Person, freelancer: Person) -> None:
    job = post_job(client)
    made = freelancer.http.post(f"{API}/proposals", json={"job_id": job["id"], "amount_cents": 50_000})
    proposal = ok(made)
    path = f"{API}/proposals/{proposal['id']}"
    assert (made.headers["etag"], client.http.get(path).headers["etag"]) == ('"1"', '"1"')
    changed = freelancer.http.patch(path, json={"amount_cents": 60_000}, headers={"if-match": '"1"'})
    assert (ok(changed)["amount_cents"], changed.headers["etag"]) == (60_000, '"2"')
    late = client.http.post(f"{path}/status", json={"status": "accepted"}, headers={"if-match": '"1"'})
    assert refused(late) == (412, "precondition_failed")
    assert (late.json()["server_version"], late.json()["server_payload"]["amount_cents"]) == (2, 60_000)
    late = client.http.post(f"{path}/status", json={"status": "accepted", "server_version": 1})
    assert (refused(late), late.json()["server_version"]) == ((409, "version_conflict"), 2)
    for wrong in ("2", '"x"', '"0"', '"99999999999"', '"1", "2"'):
        answer = client.http.post(f"{path}/status", json={"status": "accepted"}, headers={"if-match": wrong})
        assert refused(answer) == (400, "invalid_parameter"), wrong
    accepted = client.http.post(f"{path}/status", json={"status": "accepted"}, headers={"if-match": '"2"'})
    assert (ok(accepted)["status"], accepted.headers["etag"]) == ("accepted", '"3"')
    again = freelancer.http.patch(path, json={"amount_cents": 1})
    assert refused(again) == (422, "check_failed")


def test_a_profile_with_if_match_is_not_merged(freelancer: Person) -> None:
    path = f"{API}/profiles/{ok(freelancer.http.put(f'{API}/profile', json={'name': 'Fay'}))['id']}"
    ok(freelancer.http.patch(path, json={"bio": "One"}))
    merged = ok(freelancer.http.patch(path, json={"headline": "VA", "server_version": 1}))
    assert (merged["bio"], merged["headline"], merged["server_version"]) == ("One", "VA", 3)
    late = freelancer.http.patch(path, json={"location": "Cebu"}, headers={"if-match": '"2"'})
    assert refused(late) == (412, "precondition_failed")
    assert ok(freelancer.http.put(f"{API}/profile", json={"location": "Cebu"}, headers={"if-match": '"3"'})) == ok(
        freelancer.http.get(f"{API}/profile")
    )


def test_a_job_goes_from_open_to_completed(client: Person, freelancer: Person, new_person: SignIn) -> None:
    others = [new_person(f"other-{n}") for n in range(3)]
    job = post_job(client, status="draft")
    path = f"{API}/jobs/{job['id']}"
    assert refused(freelancer.http.get(path)) == (404, "not_found")
    assert refused(freelancer.http.post(f"{API}/saved-jobs", json={"job_id": job["id"]})) == (422, "fk_missing")
    assert ok(client.http.post(f"{path}/status", json={"status": "open"}))["status"] == "open"
    chosen, *rest = [propose(person, job) for person in (freelancer, *others)]
    assert [row["id"] for row in ok(client.http.get(f"{path}/proposals"))["items"]] == [
        each["id"] for each in (*reversed(rest), chosen)
    ]
    assert [row["id"] for row in ok(freelancer.http.get(f"{path}/proposals"))["items"]] == [chosen["id"]]
    assert ok(client.http.get(path))["proposal_count"] == 4
    ok(others[0].http.post(f"{API}/proposals/{rest[0]['id']}/status", json={"status": "withdrawn"}))
    ok(client.http.post(f"{API}/proposals/{chosen['id']}/status", json={"status": "accepted"}))
    received = ok(client.http.get(f"{API}/proposals", params={"box": "received", "job": job["id"]}))["items"]
    assert [row["status"] for row in received] == ["rejected", "rejected", "withdrawn", "accepted"]
    begun = ok(freelancer.http.get(path))
    assert (begun["status"], begun["freelancer_id"]) == ("in_progress", freelancer.id)
    assert refused(new_person("stranger").http.get(path)) == (404, "not_found")
    assert titles(freelancer, f"{API}/jobs", box="taken") == [job["title"]]
    assert refused(freelancer.http.post(f"{path}/status", json={"status": "completed"})) == (403, "forbidden")
    assert ok(client.http.post(f"{path}/status", json={"status": "completed"}))["status"] == "completed"
    assert refused(client.http.post(f"{path}/status", json={"status": "cancelled"})) == (422, "check_failed")


def test_of_many_decisions_at_once_exactly_one_holds(client: Person, new_person: SignIn, settings: Any) -> None:
    job = post_job(client)
    proposals = [propose(new_person(f"racer-{n}"), job) for n in range(4)]

    def accept(proposal: Any) -> int:
        path = f"{API}/proposals/{proposal['id']}/status"
        return client.http.post(path, json={"status": "accepted", "server_version": 1}).status_code

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(accept, proposals))
    assert sorted(codes)[0] == 200
    assert set(codes[1:] + codes[:1]) <= {200, 409, 422}
    assert codes.count(200) == 1
    statuses = query(settings.database_url, "SELECT status::text FROM marketplace.proposals ORDER BY 1")
    assert statuses == [("accepted",), *[("rejected",)] * 3]


def test_saved_jobs_are_kept_with_their_job(client: Person, freelancer: Person) -> None:
    job = post_job(client)
    made = freelancer.http.post(f"{API}/saved-jobs", json={"job_id": job["id"], "note": "soon"})
    again = freelancer.http.post(f"{API}/saved-jobs", json={"job_id": job["id"]})
    assert (made.status_code, again.status_code, again.json()) == (201, 200, made.json())
    (saved,) = ok(freelancer.http.get(f"{API}/saved-jobs"))["items"]
    assert (saved, saved["note"], saved["job"]) == (made.json(), "soon", job | {"is_saved": True})
    (condensed,) = ok(freelancer.http.get(f"{API}/saved-jobs", params={"platform": "mobile"}))["items"]
    assert condensed["job"]["summary"] == ""
    assert refused(client.http.delete(f"{API}/saved-jobs/{saved['id']}")) == (404, "not_found")
    ok(freelancer.http.delete(f"{API}/saved-jobs/{saved['id']}"))
    assert ok(freelancer.http.get(f"{API}/saved-jobs"))["items"] == []


def test_people_write_to_each_other(client: Person, freelancer: Person, new_person: SignIn) -> None:
    job = post_job(client)
    message = ok(
        freelancer.http.post(
            f"{API}/messages", json={"recipient_id": client.id, "content": "Hello", "job_id": job["id"]}
        )
    )
    assert (message["is_read"], message["recipient_name"]) == (False, client.user["name"])
    ok(client.http.post(f"{API}/messages", json={"recipient_id": freelancer.id, "content": "Hi"}))
    assert ok(client.http.get(f"{API}/messages/unread-count")) == {"unread_count": 1}
    assert [row["content"] for row in ok(client.http.get(f"{API}/messages"))["items"]] == ["Hi", "Hello"]
    for params, found in [
        ({"unread": True}, ["Hello"]),
        ({"job": job["id"]}, ["Hello"]),
        ({"with": freelancer.id}, ["Hi", "Hello"]),
        ({"with": client.id}, []),
    ]:
        items = ok(client.http.get(f"{API}/messages", params=params))["items"]
        assert [row["content"] for row in items] == found, params
    path = f"{API}/messages/{message['id']}/read"
    assert refused(freelancer.http.post(path)) == (403, "forbidden")
    assert refused(new_person("eve").http.post(path)) == (404, "not_found")
    read = ok(client.http.post(path))
    assert (read["is_read"], ok(client.http.post(path))) == (True, read)
    nobody = {"recipient_id": "00000000-0000-0000-0000-000000000009", "content": "?"}
    assert refused(client.http.post(f"{API}/messages", json=nobody)) == (422, "fk_missing")


def test_profiles_are_found_and_hidden(client: Person, freelancer: Person, new_person: SignIn) -> None:
    profile = ok(freelancer.http.put(f"{API}/profile", json={"name": "Fay", "bio": "Calendars", "skills": ["Notion"]}))
    ok(client.http.put(f"{API}/profile", json={"name": "Cleo", "kind": "client"}))
    names = {
        tuple(params.items()): [row["name"] for row in ok(client.http.get(f"{API}/profiles", params=params))["items"]]
        for params in ({}, {"kind": "freelancer"}, {"q": "calendar"}, {"skills": "notion"}, {"available": True})
    }
    assert list(names.values()) == [["Cleo", "Fay"], ["Fay"], ["Fay"], ["Fay"], ["Cleo", "Fay"]]
    assert refused(freelancer.http.post(f"{API}/profiles", json={"name": "Two"})) == (409, "already_exists")
    ok(freelancer.http.patch(f"{API}/profiles/{profile['id']}", json={"is_listed": False}))
    assert refused(client.http.get(f"{API}/profiles/{profile['id']}")) == (404, "not_found")
    assert refused(client.http.patch(f"{API}/profiles/{profile['id']}", json={"name": "X"})) == (404, "not_found")
    propose(freelancer, post_job(client))
    assert ok(client.http.get(f"{API}/profiles/{profile['id']}"))["name"] == "Fay"
    assert refused(client.http.patch(f"{API}/profiles/{profile['id']}", json={"name": "X"})) == (403, "forbidden")
    assert refused(new_person("newcomer").http.get(f"{API}/profile")) == (404, "not_found")


def counted(url: str, today: date) -> int:
    async def count() -> int:
        owner = Database(url, pool_size=1)
        await owner.open()
        try:
            return await count_visits(owner, today=today)
        finally:
            await owner.close()

    return anyio.run(count)


def test_a_visitor_counts_once_a_day(settings: Any, new_person: SignIn) -> None:
    fay, cleo, finn = (new_person(f"{name}-of-visits") for name in ("fay", "cleo", "finn"))
    path = f"{API}/profiles/{ok(fay.http.put(f'{API}/profile', json={'name': 'Fay'}))['id']}"
    for person, platform in ((cleo, "web"), (cleo, "mobile"), (finn, "web"), (fay, "web")):
        ok(person.http.get(path, params={"platform": platform}))
    today = datetime.now(UTC).date()
    assert [counted(settings.database_url, today) for _ in range(2)] == [1, 0]
    shown = ok(fay.http.get(f"{API}/profile"))
    assert (shown["profile_views"], shown["server_version"]) == (2, 2)
    ok(cleo.http.get(path))
    assert counted(settings.database_url, today + timedelta(days=3)) == 0
    assert query(settings.database_url, "SELECT count(*) FROM marketplace.profile_visits") == [(0,)]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/jobs", {"title": " "}, (422, "check_failed")),
        ("/jobs", {"title": "x" * 201}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "budget_min_cents": 2, "budget_max_cents": 1}, (422, "check_failed")),
        ("/jobs", {"title": "a", "budget_min_cents": -1}, (422, "check_failed")),
        ("/jobs", {"title": "a", "budget_min_cents": 10**30}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "budget_min_cents": 1.5}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "currency": "usd"}, (422, "check_failed")),
        ("/jobs", {"title": "a", "skills": ["x", None]}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "skills": [["x"]]}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "skills": ["x"] * 51}, (413, "too_large")),
        ("/jobs", {"title": "a", "status": "won"}, (422, "invalid_value")),
        ("/jobs", {"title": "a", "description": "é" * 40_000}, (413, "too_large")),
        ("/jobs", {"title": "a", "client_id": "00000000-0000-0000-0000-000000000001"}, (422, "read_only_column")),
        ("/jobs", {}, (422, "missing_value")),
        ("/proposals", {"amount_cents": 1}, (422, "missing_value")),
        ("/saved-jobs", {"job_id": "x"}, (422, "invalid_envelope")),
        ("/messages", {"recipient_id": "00000000-0000-0000-0000-000000000001", "content": ""},
         (422, "invalid_envelope")),
        ("/images", {"key": "../../etc/passwd"}, (422, "media_missing")),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_words(client: Person, path: str, body: Any, expected: tuple[int, str]) -> None:
    assert refused(client.http.post(API + path, json=body)) == expected
