"""Spec 4's three strategies on the marketplace's own tables, in every combination and in both orders of arrival:
optimistic locking of proposals, last write wins, and the merge of profiles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from homing.settings import Settings
from tests.apps.marketplace.people import Market
from tests.fixtures.server import serving
from tests.sync.scene import Caller, Json, update

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=45)
"""Not behind the database in a long run of tests, as this is read when they are collected; and within an access token,
which is good from the database's time on."""
EDITED = NOW - timedelta(hours=6)
WHEN = {"older": EDITED - timedelta(hours=2), "equal": EDITED, "newer": EDITED + timedelta(hours=2)}
"""When A edited, against B."""
TEN_YEARS = timedelta(days=3652)
CLOCKS = {"right": timedelta(0), "ahead": TEN_YEARS, "behind": -TEN_YEARS}
SENT = ("changed", "as it was", "not sent")

BASE = {"name": "base", "bio": "base", "skills": ["sql", "css"]}
EDITS: dict[str, Json] = {
    "a": {"name": "by a", "bio": "by a", "skills": ["sql", "css", "rust"]},
    "b": {"name": "by b", "bio": "by b", "skills": ["css", "vue"]},
}
COUNTED = {"profile_views": "40", "total_earnings_cents": "900"}


@pytest.fixture(scope="module")
def market(module_settings: Settings) -> Iterator[Market]:
    assert module_settings.database_url is not None
    with (
        serving(replace(module_settings, access_token_seconds=3600), clock=lambda: NOW) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
        psycopg.connect(module_settings.database_url, autocommit=True) as conn,
    ):
        yield Market(server, http, conn)


def said(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def push(phone: Caller, item: Json, made: datetime, off: timedelta) -> Json:
    (result,) = phone.push({**item, "edited_at": said(made + off)}, client_time=said(NOW + off))
    return result


def values(who: str, does: str, base: Json) -> Json:
    """What a phone sends that holds the profile as ``base``, its counters included."""
    mine = {**base, "profile_views": "7", "total_earnings_cents": "1", "created_at": "2001-01-01T00:00:00Z"}
    return {**mine, **EDITS[who]} if does == "changed" else mine if does == "as it was" else {"headline": who}


def expected(when: str, does: dict[str, str], order: str) -> Json:
    """Spec 4's mergeProfileUpdates, against what each of them saw."""
    changed = [who for who in order if does[who] == "changed"]
    if not changed:
        return BASE
    if len(changed) == 1:
        found: Json = {**BASE, **EDITS[changed[0]]}
    else:
        times = {"a": WHEN[when], "b": EDITED}
        first, second = order
        winner = second if times[second] > times[first] else first
        # Union of what was added, less what was removed: B took sql out.
        found = {**EDITS[winner], "skills": ["css", "rust", "vue"]}
    return {**found, "skills": sorted(found["skills"])}


@pytest.mark.parametrize(("clock_of_a", "clock_of_b"), [("right", "right"), ("ahead", "behind"), ("behind", "ahead")])
def test_profiles_merge_in_every_combination(market: Market, clock_of_a: str, clock_of_b: str) -> None:
    off = {"a": CLOCKS[clock_of_a], "b": CLOCKS[clock_of_b]}
    wrong = []
    for when, a, b, order in product(WHEN, SENT, SENT, ("ab", "ba")):
        phone = market.person()
        phones = {"a": phone, "b": market.signed_in(phone)}
        row = market.value(
            "INSERT INTO marketplace.profiles (user_id, name, bio, skills, profile_views, total_earnings_cents)"
            " VALUES (%s, %s, %s, %s, 40, 900) RETURNING id::text",
            phone.user_id,
            *BASE.values(),
        )
        ((created,),) = market.rows("SELECT created_at FROM marketplace.profiles WHERE id = %s", row)
        does, times = {"a": a, "b": b}, {"a": WHEN[when], "b": EDITED}
        statuses = [
            push(phones[who], update("profile", row, 1, **values(who, does[who], BASE)), times[who], off[who])["status"]
            for who in order
        ]
        ((name, bio, skills, *counted, made),) = market.rows(
            "SELECT name, bio, skills, profile_views::text, total_earnings_cents::text, created_at"
            " FROM marketplace.profiles WHERE id = %s",
            row,
        )
        found = {"name": name, "bio": bio, "skills": sorted(skills)}
        wanted = {**expected(when, does, order)}
        wanted["skills"] = sorted(wanted["skills"])
        if (found, counted, made, statuses) != (wanted, list(COUNTED.values()), created, ["ok", "ok"]):
            wrong.append(((when, a, b, order), (found, counted, statuses), wanted))
    assert wrong == []


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_proposals_are_locked_optimistically(market: Market, order: str) -> None:
    """Whoever comes second meets a conflict, whichever columns and times and clocks: nobody accepts what they have not
    read. Who sends what stands there already, or nothing new, is told it is so."""
    client, freelancer = market.person(), market.person()
    edits: dict[str, Any] = {
        "a": (freelancer, {"amount_cents": "6000"}),
        "b": (client, {"status": "shortlisted"}),
    }
    for when, clock in product(WHEN, CLOCKS):
        job = market.job(client)
        row = market.value(
            "INSERT INTO marketplace.proposals (job_id, client_id, freelancer_id, amount_cents)"
            " VALUES (%s, %s, %s, 5000) RETURNING id::text",
            job,
            client.user_id,
            freelancer.user_id,
        )
        results = []
        for who in order:
            person, columns = edits[who]
            made = WHEN[when] if who == "a" else EDITED
            results.append(push(person, update("proposal", row, 1, **columns), made, CLOCKS[clock]))
        first, second = results
        assert (first["status"], first["server_version"]) == ("ok", 2)
        assert (second["status"], second["code"], second["server_version"]) == ("conflict", "version_conflict", 2)
        wanted = (6000, "submitted") if order == "ab" else (5000, "shortlisted")
        assert market.rows("SELECT amount_cents, status::text FROM marketplace.proposals WHERE id = %s", row) == [
            wanted
        ]
        # Having read it, they may.
        person, columns = edits[order[1]]
        again = push(person, update("proposal", row, 2, **columns), EDITED, CLOCKS[clock])
        assert (again["status"], again["server_version"]) == ("ok", 3)


def test_a_note_on_a_saved_job_is_the_last_one_written(market: Market) -> None:
    for order, (clock_of_a, clock_of_b) in product(("ab", "ba"), product(CLOCKS, CLOCKS)):
        phone = market.person()
        phones = {"a": phone, "b": market.signed_in(phone)}
        row = market.value(
            "INSERT INTO marketplace.saved_jobs (user_id, job_id, note) VALUES (%s, %s, 'base') RETURNING id::text",
            phone.user_id,
            market.job(market.person()),
        )
        off = {"a": CLOCKS[clock_of_a], "b": CLOCKS[clock_of_b]}
        made = {"a": EDITED, "b": EDITED + timedelta(minutes=1)}
        for who in order:
            push(phones[who], update("saved_job", row, 1, note=f"by {who}"), made[who], off[who])
        assert market.value("SELECT note FROM marketplace.saved_jobs WHERE id = %s", row) == "by b"


def test_a_delete_is_a_write_too(market: Market) -> None:
    """The last write wins, whichever it is: a row that somebody edited later than it was deleted elsewhere stays."""
    office = market.person("OWNER")
    phone, other = office, market.signed_in(office)
    for when, (clock_of_a, clock_of_b) in product(WHEN, product(CLOCKS, CLOCKS)):
        entity = f"{when} {clock_of_a} {clock_of_b}"
        market.execute(
            "INSERT INTO marketplace.offline_cache_metadata (entity, max_rows, max_age_seconds) VALUES (%s, 1, 1)",
            entity,
        )
        edit = update("offline_cache_metadata", entity, 1, max_rows=2)
        assert push(other, edit, EDITED, CLOCKS[clock_of_b])["status"] == "ok"
        gone = {"resource_type": "offline_cache_metadata", "action": "delete", "payload": {"id": entity}}
        result = push(phone, {**gone, "client_version": 1}, WHEN[when], CLOCKS[clock_of_a])
        assert result["status"] == "ok"
        left = market.rows("SELECT max_rows FROM marketplace.offline_cache_metadata WHERE entity = %s", entity)
        assert left == ([] if when == "newer" else [(2,)]), entity
        assert (result["server_version"], result.get("merged", False)) == (
            (result["server_version"], False) if when == "newer" else (2, True)
        )
