"""What a phone shows first: spec 4's shape, no more than the office says, and a pull that goes on without gap."""

from __future__ import annotations

import base64
import gzip
import json
import random
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import zstandard

from tests.apps.marketplace.scene import API, held, item, ok, pull, push, query, refused
from tests.fixtures.accounts import Person, SignIn
from tests.fixtures.server import Server

INITIAL = "/api/mobile/sync/initial-data"
MEMBERS = ["userPreferences", "cache", "profiles", "savedJobs", "savings", "proposals", "jobs", "recentMessages"]
SECTIONS = {"cache": "offline_cache_metadata", "profiles": "profile", "savedJobs": "job", "savings": "saved_job",
            "proposals": "proposal", "jobs": "job", "recentMessages": "message"}  # fmt: skip


@pytest.fixture(scope="module")
def settings(module_settings: Any) -> Any:
    return module_settings


@pytest.fixture(scope="module")
def server(module_server: Server) -> Server:
    return module_server


@pytest.fixture
def url(settings: Any) -> str:
    return str(settings.database_url)


@pytest.fixture
def kept(url: str) -> Any:
    """Sets how many rows of a kind are kept at hand; afterwards it is as it was."""
    before = query(url, "SELECT entity, max_rows FROM marketplace.offline_cache_metadata")

    def keep(**rows: int) -> None:
        with psycopg.connect(url) as conn:
            for entity, most in rows.items():
                conn.execute(
                    "UPDATE marketplace.offline_cache_metadata SET max_rows = %s WHERE entity = %s", [most, entity]
                )

    yield keep
    keep(**dict(before))


class Phone:
    """What a phone keeps: rows by table and id, as answers and pulls bring them."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}

    def take(self, data: dict[str, Any]) -> None:
        for member, kind in SECTIONS.items():
            for row in data[member]:
                version = row["server_version"]
                payload = {name: value for name, value in row.items() if name != "server_version"}
                self.rows[kind, row["entity"] if kind == "offline_cache_metadata" else row["id"]] = payload | {
                    "server_version": version
                }

    def pull(self, token: str) -> list[dict[str, Any]]:
        changes, self.token = pull(self.person, token)
        for change in changes:
            key = change["resource_type"], change["id"]
            if change["action"] == "delete":
                self.rows.pop(key, None)
            else:
                self.rows[key] = change["payload"] | {"server_version": change["server_version"]}
        return changes

    def equals_the_server(self) -> bool:
        other = Phone(self.person)
        other.pull(None)  # type: ignore[arg-type]
        return other.rows == self.rows


class Cast:
    """Fay, a freelancer with a phone, and Cleo, who offers work."""

    def __init__(self, new_person: SignIn) -> None:
        tag = uuid4().hex[:8]
        self.fay, self.cleo = (new_person(f"{n}-{tag}", device_id=f"{n}-{tag}") for n in ("fay", "cleo"))
        self.profile = made(self.fay, item("profile", "create", name="Fay", bio="Sites"))
        made(self.cleo, item("profile", "create", name="Cleo"))
        self.jobs = [made(self.cleo, item("job", "create", title=f"Job {n}")) for n in range(4)]
        self.saved = [made(self.fay, item("saved_job", "create", job_id=job)) for job in self.jobs[:2]]
        self.proposal = made(self.fay, item("proposal", "create", job_id=self.jobs[2], amount_cents=5000))
        self.messages = [
            made(self.fay, item("message", "create", recipient_id=self.cleo.id, content=f"Hello {n}")) for n in range(5)
        ]


def made(person: Person, wanted: dict[str, Any]) -> str:
    (result,) = push(person, wanted)
    assert result["status"] == "ok", result
    return str(result["server_id"])


@pytest.fixture
def cast(new_person: SignIn) -> Cast:
    return Cast(new_person)


def load(person: Person, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(person.http.get(INITIAL, params=params))
    return found


def ids(data: dict[str, Any]) -> dict[str, list[str]]:
    return {member: [row.get("id") or row["entity"] for row in data[member]] for member in SECTIONS}


def test_the_shape_is_the_specifications_and_the_newest_comes_first(cast: Cast) -> None:
    data = load(cast.fay)
    assert list(data) == [*MEMBERS, "next", "next_token", "server_time"]
    assert data["userPreferences"] == {
        "jobMatches": True, "proposalUpdates": True, "paymentAlerts": True, "marketing": False, "mobile": {},
    }  # fmt: skip
    found = ids(data)
    assert found["profiles"][0] == cast.profile
    assert len(found["profiles"]) == 2
    assert found["savedJobs"] == cast.jobs[1::-1]
    assert found["savings"] == cast.saved[::-1]
    assert found["proposals"] == [cast.proposal]
    assert found["jobs"] == [cast.jobs[2]]
    assert found["recentMessages"] == cast.messages[::-1]
    assert {row["entity"] for row in data["cache"]} == {"profile", "proposal", "saved_job", "job", "message"}
    assert data["next"] is None
    # A row is what a pull brings of it.
    (change,) = [c for c in pull(cast.fay)[0] if c["id"] == cast.proposal]
    assert data["proposals"] == [{**change["payload"], "server_version": change["server_version"]}]


def test_a_pull_goes_on_where_it_ends(cast: Cast) -> None:
    phone = Phone(cast.fay)
    data = load(cast.fay)
    phone.take(data)
    assert phone.pull(data["next_token"]) == []
    made(cast.fay, item("saved_job", "create", job_id=cast.jobs[3]))
    push(cast.cleo, item("job", "update", id=cast.jobs[0], title="Another title"))
    push(cast.fay, item("saved_job", "delete", id=cast.saved[1]))
    changes = phone.pull(phone.token)
    assert {(c["resource_type"], c["action"]) for c in changes} == {
        ("saved_job", "create"), ("job", "create"), ("job", "update"), ("saved_job", "delete"), ("job", "delete"),
    }  # fmt: skip
    assert phone.equals_the_server()


def test_it_goes_on_page_by_page(cast: Cast) -> None:
    whole = load(cast.fay)
    for limit in (1, 2, 3, 7):
        phone, after = Phone(cast.fay), None
        found: dict[str, list[str]] = {member: [] for member in SECTIONS}
        while True:
            data = load(cast.fay, limit=limit, **({} if after is None else {"after": after}))
            assert sum(len(data[member]) for member in SECTIONS) <= limit
            phone.take(data)
            for member, more in ids(data).items():
                found[member] += more
            after = data["next"]
            if after is None:
                break
        assert found == ids(whole)
        assert phone.pull(data["next_token"]) == []
        assert phone.equals_the_server()


def test_a_phone_may_leave_off_anywhere(cast: Cast) -> None:
    """Every answer's token is honest: a pull from it brings everything that was not sent."""
    after = None
    while True:
        data = load(cast.fay, limit=2, **({} if after is None else {"after": after}))
        phone = Phone(cast.fay)
        if after is None:
            pages: list[dict[str, Any]] = []
        pages.append(data)
        for page in pages:
            phone.take(page)
        phone.pull(data["next_token"])
        assert phone.equals_the_server()
        after = data["next"]
        if after is None:
            break


def test_what_the_office_does_not_keep_at_hand_comes_with_the_pull(cast: Cast, kept: Any) -> None:
    kept(message=2, saved_job=1, job=0)
    phone = Phone(cast.fay)
    data = load(cast.fay)
    phone.take(data)
    found = ids(data)
    assert found["recentMessages"] == cast.messages[:-3:-1]
    assert (found["savedJobs"], found["savings"], found["jobs"]) == ([cast.jobs[1]], [cast.saved[1]], [])
    assert data["next"] is None
    brought = {c["id"] for c in phone.pull(data["next_token"])}
    assert brought >= {*cast.messages[:3], cast.saved[0], cast.jobs[0], cast.jobs[2]}
    assert phone.equals_the_server()


def test_only_messages_are_left_for_the_pull_where_only_they_were_too_many(cast: Cast, kept: Any) -> None:
    kept(message=2)
    phone = Phone(cast.fay)
    data = load(cast.fay)
    phone.take(data)
    assert {c["resource_type"] for c in phone.pull(data["next_token"])} <= {"message", "offline_cache_metadata"}
    assert phone.equals_the_server()


def test_what_changes_while_a_phone_loads_is_not_lost(cast: Cast) -> None:
    """Between any two answers something is written, changed, moved out of sight and deleted."""
    phone, after, n = Phone(cast.fay), None, 0
    while True:
        data = load(cast.fay, limit=2, **({} if after is None else {"after": after}))
        phone.take(data)
        after = data["next"]
        if after is None:
            break
        n += 1
        new = made(cast.cleo, item("message", "create", recipient_id=cast.fay.id, content=f"Meanwhile {n}"))
        push(cast.fay, item("message", "update", id=new, is_read=True))
        push(cast.cleo, item("job", "update", id=cast.jobs[n % 3], title=f"Meanwhile {n}"))
        if n == 2:
            push(cast.fay, item("saved_job", "delete", id=cast.saved[0]))
        if n == 3:
            made(cast.fay, item("saved_job", "create", job_id=cast.jobs[0]))
        if n == 4:
            made(cast.fay, item("saved_job", "create", job_id=cast.jobs[3]))
    phone.pull(data["next_token"])
    assert phone.equals_the_server()


def test_rights_that_change_on_the_way_end_the_load_and_the_pull_takes_over(cast: Cast) -> None:
    phone = Phone(cast.fay)
    data = load(cast.fay, limit=8)
    phone.take(data)
    push(cast.fay, item("saved_job", "delete", id=cast.saved[0]), item("saved_job", "delete", id=cast.saved[1]))
    data = load(cast.fay, after=data["next"])
    assert {member: rows for member, rows in ids(data).items() if rows} == {}
    assert data["next"] is None
    phone.pull(data["next_token"])
    assert phone.equals_the_server()
    assert ("job", cast.jobs[0]) not in phone.rows


def test_what_is_made_while_a_phone_loads_comes_with_the_pull_and_not_before(cast: Cast, new_person: SignIn) -> None:
    """A pull takes away what somebody may not see any more, of what it knows was there when the load began."""
    dora = new_person(f"dora-{uuid4().hex[:8]}", device_id=f"dora-{uuid4().hex[:8]}")
    saved = made(cast.fay, item("saved_job", "create", job_id=made(dora, item("job", "create", title="Dora's"))))
    phone = Phone(cast.fay)
    data = load(cast.fay, limit=5)
    phone.take(data)
    profile = made(dora, item("profile", "create", name="Dora"))
    data = load(cast.fay, after=data["next"])
    phone.take(data)
    assert ("profile", profile) not in phone.rows
    push(cast.fay, item("saved_job", "delete", id=saved))
    phone.pull(data["next_token"])
    assert phone.equals_the_server()


def test_whatever_is_written_meanwhile_nothing_is_lost(cast: Cast, kept: Any) -> None:
    """Both people write while Fay's phone loads in pieces, and leaves off where it likes. Then it pulls."""
    chance = random.Random(4)
    kept(message=6, saved_job=2)

    def write(number: int) -> None:
        own = random.Random(number)
        for n in range(12):
            job = own.choice(cast.jobs)
            saved = [c["id"] for c in pull(cast.fay)[0] if c["resource_type"] == "saved_job"]
            match own.randrange(5):
                case 0:
                    push(cast.cleo, item("message", "create", recipient_id=cast.fay.id, content=f"{number} {n}"))
                case 1:
                    push(cast.cleo, item("job", "update", id=job, title=f"{number} {n}"))
                case 2:
                    push(cast.fay, item("saved_job", "create", job_id=job))
                case 3 if saved:
                    push(cast.fay, item("saved_job", "delete", id=own.choice(saved)))
                case _:
                    push(cast.fay, item("profile", "update", id=cast.profile, bio=f"{number} {n}"))

    for number in range(8):
        phone, after = Phone(cast.fay), None
        writer = Thread(target=write, args=[number])
        writer.start()
        for _ in range(chance.randrange(2, 12)):
            data = load(cast.fay, limit=chance.randrange(1, 8), **({} if after is None else {"after": after}))
            phone.take(data)
            after = data["next"]
            if after is None:
                break
        writer.join()
        phone.pull(data["next_token"])
        assert phone.equals_the_server(), number


def test_it_says_when_nothing_is_new(cast: Cast, url: str) -> None:
    answer = cast.fay.http.get(INITIAL)
    etag = answer.headers["etag"]

    def again() -> httpx.Response:
        return cast.fay.http.get(INITIAL, headers={"if-none-match": f'"something", {etag}'})

    same = again()
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    made(cast.cleo, item("message", "create", recipient_id=cast.fay.id, content="New"))
    assert again().status_code == 200
    etag = again().headers["etag"]
    assert again().status_code == 304
    with psycopg.connect(url) as conn:
        conn.execute(
            """UPDATE homing.users SET mobile_preferences = '{"theme": "dark"}' WHERE id = %s""", [cast.fay.id]
        )
    changed = again()
    assert (changed.status_code, changed.json()["userPreferences"]["mobile"]) == (200, {"theme": "dark"})
    for odd in (
        "*",
        "W/",
        '""',
        '"x.y"',
        '"' + "a" * 500 + '"',
        f'W/"{etag}',
        cast.cleo.http.get(INITIAL).headers["etag"],
    ):
        assert cast.fay.http.get(INITIAL, headers={"if-none-match": odd}).status_code == 200, odd


def test_it_says_how_much_it_is(cast: Cast, kept: Any) -> None:
    kept(message=3)
    found = ok(cast.fay.http.get(INITIAL, params={"estimate": "1"}))
    data = cast.fay.http.get(INITIAL)
    assert found["rows"] == {member: len(data.json()[member]) for member in SECTIONS}
    assert found["rows_total"] == sum(found["rows"].values())
    assert 0.5 < found["bytes"] / len(data.content) < 1.5


def test_other_peoples_things_are_not_in_it(cast: Cast, new_person: SignIn) -> None:
    stranger = new_person(f"stranger-{uuid4().hex[:8]}", device_id=f"stranger-{uuid4().hex[:8]}")
    data = load(stranger)
    assert {member: rows for member, rows in ids(data).items() if rows and member != "cache"} == {}
    first = load(cast.fay, limit=3)
    assert refused(stranger.http.get(INITIAL, params={"after": first["next"]})) == (400, "invalid_token")


def test_the_office_pulls_what_it_has_to_do_with_more(cast: Cast, owner: Person) -> None:
    phone = Phone(owner)
    data = load(owner)
    phone.take(data)
    phone.pull(data["next_token"])
    assert ("job", cast.jobs[3]) in phone.rows
    assert phone.equals_the_server()


def test_nonsense_is_refused(cast: Cast) -> None:
    for name, value in (
        ("limit", 0), ("limit", 5001), ("limit", "many"), ("after", "x"), ("after", "W10"), ("estimate", "perhaps"),
        ("since", "x"),
    ):  # fmt: skip
        assert refused(cast.fay.http.get(INITIAL, params={name: value})) == (400, "invalid_parameter"), (name, value)


def forged(cursor: str, **parts: Any) -> str:
    place = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    for index, value in parts.items():
        place[int(index[1:])] = value
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def test_a_cursor_of_ones_own_making_is_refused(cast: Cast) -> None:
    cursor = load(cast.fay, limit=6)["next"]
    someone = str(UUID(int=1))
    for parts in (
        {"p0": "tok1_x"}, {"p0": ""}, {"p0": load(cast.fay)["next_token"]}, {"p1": 7000}, {"p1": -1},
        {"p2": "yesterday", "p3": someone}, {"p2": None}, {"p2": "2026-01-01", "p3": "nobody"},
        {"p2": "a\0b", "p3": "c"}, {"p3": "a\0b"}, {"p3": "nobody"}, {"p4": -5}, {"p4": 2**70}, {"p5": 2**40},
        {"p6": [1, 2, "x"]}, {"p2": "2026-99-99 00:00:00+00", "p3": someone},
    ):  # fmt: skip
        found = refused(cast.fay.http.get(INITIAL, params={"after": forged(cursor, **parts)}))
        assert found in {(400, "invalid_parameter"), (400, "invalid_token")}, parts


def test_it_is_at_the_ordinary_addresses_too(cast: Cast) -> None:
    for path in (f"{API}/mobile/sync/initial-data", f"{API}/marketplace/mobile/sync/initial-data"):
        assert ids(ok(cast.fay.http.get(path))) == ids(load(cast.fay))


def test_a_heavy_users_data_comes_in_pieces(cast: Cast, kept: Any, url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO marketplace.messages (sender_id, recipient_id, content, created_at)"
            " SELECT %s, %s, repeat('word ', 60), now() - n * interval '1 minute' FROM generate_series(1, 3000) n",
            [cast.cleo.id, cast.fay.id],
        )
    kept(message=2500)
    with cast.fay.http.stream("GET", INITIAL) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        data = json.loads(b"".join(answer.iter_raw()))
    found = ids(data)["recentMessages"]
    assert (len(found), len(set(found)), found[:5]) == (2500, 2500, cast.messages[::-1])
    for encoding in ("gzip", "zstd"):
        with cast.fay.http.stream("GET", INITIAL, headers={"accept-encoding": encoding}) as answer:
            assert (answer.headers["content-encoding"], answer.headers["vary"]) == (encoding, "accept-encoding")
            raw = b"".join(answer.iter_raw())
        plain = (
            gzip.decompress(raw) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        )
        assert ids(json.loads(plain)) == ids(data)
        assert len(raw) < len(plain) / 5
    phone = Phone(cast.fay)
    phone.take(data)
    phone.pull(data["next_token"])
    assert phone.equals_the_server()
    assert len(held(cast.fay)["message"]) == 3005
