"""A field season, played through: three teams on three islands, days without signal, a line that loses a quarter.

Every act is a function and tells what happened; ``play`` is their order. What has to come out is asserted on the way
(one merged, one conflict, one refused, one wiped, one moved), and proved at the end (``proof.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psycopg

from homing.cli._demo import penguins
from homing.cli._demo.devices import Device, Tally, devices
from homing.cli._demo.office import OFFICE, Desk, at_desk
from homing.cli._demo.penguins import ISLANDS, PLACES, Observation
from homing.cli._demo.photo import png
from homing.cli._demo.proof import prove

PEOPLE = {"ana": "Torgersen", "tom": "Torgersen", "ben": "Biscoe", "eva": "Biscoe", "dora": "Dream"}
"""Who begins the season on which island."""
CARRIED = {
    "anas-tablet": "ana",
    "toms-phone": "tom",
    "bens-tablet": "ben",
    "evas-phone": "eva",
    "doras-tablet": "dora",
    "office-laptop": OFFICE,
}
SIGNAL = 0.3
"""How likely a device has a line on a day."""
PHOTO_EVERY = 24

Tell = Callable[[str], None]


class DeviceResult(msgspec.Struct, kw_only=True):
    """One line of the table. ``rows`` by table, as the database says its user may see them; ``equal``: the replica
    holds exactly those."""

    device: str
    user: str
    syncs: int
    sent: int
    merged: int
    conflicts: int
    refused: int
    received: int
    removed: int
    photos: int
    requests_lost: int
    answers_lost: int
    wiped: bool
    rows: dict[str, int]
    equal: bool
    wrong: list[str]


class Outcome(msgspec.Struct, kw_only=True):
    """What the season came to. ``ok``: every observation is there once, and every replica equals its scope."""

    ok: bool
    observations: int
    stored: int
    lost_messages: int
    devices: list[DeviceResult]


@dataclass(slots=True)
class Season:
    """What the acts share."""

    desk: Desk
    devices: dict[str, Device]
    users: dict[str, str]
    teams: dict[str, str]
    folder: Path
    rng: Random
    tell: Tell
    step: Callable[[int, int], None]
    written: int = 0
    held_back: list[Observation] = field(default_factory=list)

    def device(self, name: str) -> Device:
        return self.devices[name]


def play(
    url: str,
    database_url: str,
    every: list[Observation],
    *,
    seed: int,
    tell: Tell,
    step: Callable[[int, int], None],
) -> Outcome:
    """Play the season of ``every`` observation on the server at ``url``, which knows the office and nothing else.

    ``step`` is told (days played, days). Raises RuntimeError where something did not come out as it must.
    """
    with TemporaryDirectory(prefix="homing-season-") as folder, at_desk(url) as desk:
        users, teams = _prepare(desk)
        with devices(url, Path(folder), CARRIED, seed=seed) as carried:
            rng = Random(seed)  # noqa: S311 - a season that can be played again
            season = Season(desk, carried, users, teams, Path(folder), rng, tell, step)
            _set_out(season)
            _observe(season, every)
            _weigh_wrongly(season)
            _correct_the_same(season)
            _read_the_meter(season)
            _lose_a_phone(season)
            _move(season)
            _review(season)
            _come_home(season)
            return _prove(season, database_url, len(every))


def _prepare(desk: Desk) -> tuple[dict[str, str], dict[str, str]]:
    users = {login: desk.make_worker(login, login.title()) for login in PEOPLE}
    users[OFFICE] = str(desk.call("GET", "/auth/me")["user"]["id"])
    teams = {
        island: desk.make_team(island, [users[login] for login, at in PEOPLE.items() if at == island])
        for island in ISLANDS
    }
    desk.publish_form(penguins.CODE, "Penguin at the nest", penguins.SCHEMA)
    for island in ISLANDS:
        desk.call(
            "POST",
            "/meters",
            {
                "code": f"generator-{island.lower()}",
                "name": "Generator",
                "unit": "h",
                "reading": 0,
                "team_id": teams[island],
            },
        )
    return users, teams


def _set_out(season: Season) -> None:
    for device in season.devices.values():
        device.sync()
        device.line.good = False
    season.tell(f"{len(season.devices)} devices set out, with the form and their island's rows on board")


def _observe(season: Season, every: list[Observation]) -> None:
    """Day by day in the order of the visits; who has signal tries to sync."""
    dream = [each for each in every if each.island == "Dream" and "body_mass_g" in each.data]
    season.held_back = [dream[-1]]
    todo = [each for each in every if each not in season.held_back]
    days = [(day, list(seen)) for day, seen in groupby(todo, key=lambda each: each.date)]
    for number, (day, seen) in enumerate(days, 1):
        for each in seen:
            _write_down(season, each)
        online = [device for device in season.devices.values() if season.rng.random() < SIGNAL]
        for device in online:
            device.sync()
        season.step(number, len(days))
        if number % 12 == 0:
            waiting = sum(device.replica.status().waiting for device in season.devices.values())
            season.tell(f"{day}: {season.written} penguins written down, {waiting} of them not sent yet")


def _write_down(season: Season, each: Observation, **changed: Any) -> tuple[Device, str]:
    """The next of the island's people writes an observation down, some with a photo."""
    team = [name for name, login in CARRIED.items() if PEOPLE.get(login) == each.island]
    device = season.device(team[season.written % len(team)])
    lat, lon = PLACES[each.island]
    place = {
        "lat": round(lat + season.rng.uniform(-0.01, 0.01), 5),
        "lon": round(lon + season.rng.uniform(-0.02, 0.02), 5),
    }
    row_id = device.replica.create(
        "submission",
        {"form_id": penguins.CODE, "form_version": "v1", "data": {**each.data, **changed}, "metadata": {"gps": place}},
    )
    if season.written % PHOTO_EVERY == 0:
        picture = season.folder / f"nest-{season.written}.png"
        picture.write_bytes(png(*(season.rng.randrange(256) for _ in range(3))))
        device.replica.attach(
            "submission", row_id, "media", picture, "image/png", gps=place, captured_at=f"{each.date}T12:00:00Z"
        )
    season.written += 1
    return device, row_id


def _weigh_wrongly(season: Season) -> None:
    """A weight in kilograms: the form refuses it, the person sees why and sends it right."""
    (each,) = season.held_back
    device, row_id = _write_down(season, each, body_mass_g=each.data["body_mass_g"] / 1000)
    device.settle()
    refused = [verdict for verdict in device.replica.refused() if verdict.row_id == row_id]
    must(len(refused) == 1, f"{device.name}: {len(refused)} edits refused instead of one")
    season.tell(f"{device.name}: refused, because {refused[0].error}")
    device.replica.retry(refused[0].op, {**refused[0].payload, "data": dict(each.data)})
    device.settle()
    must(not device.replica.refused(), f"{device.name}: refused again")
    season.tell(f"{device.name}: corrected on the device and sent again")


def _correct_the_same(season: Season) -> None:
    """Ana and Tom correct the same two penguins without signal: one merges by field, one is for the office."""
    ana, tom = season.device("anas-tablet"), season.device("toms-phone")
    for device in (ana, tom, ana):
        device.settle()
    first, second = (
        row["id"]
        for row in ana.replica.query("SELECT id FROM submissions WHERE team_id IS NOT NULL ORDER BY id LIMIT 2")
    )
    _update_data(ana, first, comments="Ring read again: correct.")
    metadata = _row(tom, first)["metadata"]
    tom.replica.update("submission", first, metadata={**metadata, "weather": "snow"})
    _update_data(ana, second, culmen_length_mm=40.1)
    _update_data(tom, second, culmen_length_mm=40.3)
    ana.settle()
    tom.settle()
    must(tom.tally.merged == 1, f"{tom.tally.merged} of Tom's edits merged instead of one")
    must(tom.tally.conflicts == 1, f"{tom.tally.conflicts} of Tom's edits in conflict instead of one")
    season.tell("anas-tablet and toms-phone changed the same penguin: different fields, merged")
    pending = season.desk.call("GET", "/mobile/conflicts", resolution="pending")["items"]
    must(len(pending) == 1, f"{len(pending)} conflicts wait for the office instead of one")
    middle = {**_row(ana, second)["data"], "culmen_length_mm": 40.2}
    season.desk.call(
        "POST",
        f"/mobile/conflicts/{pending[0]['id']}/resolve",
        {"resolution": "merged", "payload": {"data": middle}, "notes": "The mean of both."},
    )
    for device in (ana, tom):
        device.settle()
        must(_row(device, second)["data"] == middle, f"{device.name} did not get the office's decision")
    season.tell("and the same field of another: a conflict; the office decided for the mean, both have it")


def _read_the_meter(season: Season) -> None:
    """A reading from the island and a note from the office: different fields of one row."""
    eva = season.device("evas-phone")
    eva.settle()
    (meter,) = eva.replica.query("SELECT id FROM meters WHERE code = 'generator-biscoe'")
    eva.replica.update("meter", meter["id"], reading=412.5)
    season.desk.call("PATCH", f"/meters/{meter['id']}", {"notes": "Fuel comes on Friday.", "tags": ["diesel"]})
    before = eva.tally.merged
    eva.settle()
    must(eva.tally.merged == before + 1, "the reading did not merge with the office's note")
    shown = season.desk.call("GET", f"/meters/{meter['id']}")
    must((shown["reading"], shown["notes"]) == (412.5, "Fuel comes on Friday."), "the meter lost one of two changes")
    season.tell("evas-phone's reading and the office's note on one generator: merged")


def _lose_a_phone(season: Season) -> None:
    tom = season.device("toms-phone")
    devices_ = season.desk.call("GET", "/mobile/devices", limit=100)["items"]
    (row,) = [each for each in devices_ if each["device_id"] == tom.name]
    season.desk.call("PATCH", f"/mobile/devices/{row['id']}", {"status": "revoked", "reason": "lost at sea"})
    while not tom.wiped:
        tom.sync()
    must(not tom.path.exists(), "the revoked phone kept its replica")
    season.tell("toms-phone was lost and revoked: it removed everything it held at its next contact")


def _move(season: Season) -> None:
    eva = season.device("evas-phone")
    removed, received = eva.tally.removed, eva.tally.received
    season.desk.call("DELETE", f"/teams/{season.teams['Biscoe']}/members/{season.users['eva']}")
    season.desk.call("PUT", f"/teams/{season.teams['Dream']}/members/{season.users['eva']}")
    eva.settle()
    gone, came = eva.tally.removed - removed, eva.tally.received - received
    must(gone > 0 and came > 0, f"Eva moved, and {gone} rows left and {came} came")
    season.tell(f"eva moved from Biscoe to Dream: {gone} rows left her phone, {came} came; what she wrote stayed")


def _review(season: Season) -> None:
    """The office reviews on its own replica, offline like everybody, and at the desk."""
    laptop = season.device("office-laptop")
    laptop.settle()
    rows = laptop.replica.query("SELECT id FROM submissions WHERE status = 'pending' ORDER BY id LIMIT 12")
    for row in rows[:10]:
        laptop.replica.update("submission", row["id"], status="approved", review_notes="Thank you.")
    laptop.settle()
    for row in rows[10:]:
        season.desk.call(
            "POST", f"/submissions/{row['id']}/review", {"status": "rejected", "notes": "Which nest was it?"}
        )
    season.tell(f"the office approved {len(rows[:10])} and asked back about {len(rows[10:])}")


def _come_home(season: Season) -> None:
    """Everybody in the harbour, on a good line, until nobody has anything new."""
    home = [device for device in season.devices.values() if not device.wiped]
    for device in home:
        device.line.good = True
    while [device for device in home if device.settle()]:
        pass
    for device in home:
        report = device.client.sync(verify=True)
        must(report.ok and report.verified is True, f"{device.name}: the server's digests differ: {report.repaired}")
        must(not device.replica.check(), f"{device.name}: the replica is not what its own base and outbox make it")


def _prove(season: Season, database_url: str, observed: int) -> Outcome:
    results = []
    photos = _photos(database_url)
    for device in season.devices.values():
        if device.wiped:
            rows, wrong = {}, ["its file is still there"] if device.path.exists() else []
        else:
            proof = prove(database_url, season.users[device.login], device.path)
            rows, wrong = dict(proof.rows), list(proof.wrong)
        results.append(
            DeviceResult(
                device=device.name,
                user=device.login,
                requests_lost=device.line.losses.requests,
                answers_lost=device.line.losses.answers,
                photos=photos.get(device.name, 0),
                wiped=device.wiped,
                rows=rows,
                equal=not wrong,
                wrong=wrong,
                **_counts(device.tally),
            )
        )
    stored = _stored(database_url)
    lost = sum(result.requests_lost + result.answers_lost for result in results)
    # A season without losses would prove nothing about retries.
    must(sum(result.answers_lost for result in results) > 10, f"only {lost} messages were lost")
    return Outcome(
        ok=stored == observed and all(result.equal for result in results),
        observations=observed,
        stored=stored,
        lost_messages=lost,
        devices=results,
    )


def _counts(tally: Tally) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in Tally.__slots__}


def _stored(database_url: str) -> int:
    """Penguins in the database, each counted once; -1 where one is there twice."""
    query = "SELECT count(*), count(DISTINCT (data ->> 'species', data ->> 'sample')) FROM fieldwork.submissions"
    with psycopg.connect(database_url) as conn:
        rows, penguins_ = conn.execute(query).fetchone() or (0, 0)
    return rows if rows == penguins_ else -1


def _photos(database_url: str) -> dict[str, int]:
    """Photos in the database by the device whose submissions name them."""
    query = (
        "SELECT d.device_id, count(*) FROM fieldwork.submission_media m"
        " JOIN fieldwork.submissions s ON s.id = m.submission_id JOIN homing.mobile_devices d ON d.id = s.device_id"
        " GROUP BY d.device_id"
    )
    with psycopg.connect(database_url) as conn:
        return dict(conn.execute(query).fetchall())


def _row(device: Device, row_id: str) -> dict[str, Any]:
    row = device.replica.get("submission", row_id)
    if row is None:
        raise RuntimeError(f"{device.name} lacks submission {row_id}")
    return row


def _update_data(device: Device, row_id: str, **changed: Any) -> None:
    device.replica.update("submission", row_id, data={**_row(device, row_id)["data"], **changed})


def must(true: bool, otherwise: str) -> None:
    """Raises RuntimeError, saying ``otherwise``."""
    if not true:
        raise RuntimeError(otherwise)


@contextmanager
def silent() -> Iterator[tuple[Tell, Callable[[int, int], None]]]:
    """For ``--json``: nothing is told."""
    yield (lambda _: None), (lambda _days, _of: None)
