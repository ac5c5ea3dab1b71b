"""A contractor's week, played through: an owner in the office, four workers, 60 customers, 200 jobs, 2,000 materials.

Every act is a function and tells what happened; ``play`` is their order. Lines lose a quarter of what is sent, most
phones have none for hours, jobs change hands while work on them is not sent yet, and one worker leaves on Thursday. At
the end every phone holds, row for row, what the database says is its user's, and the audit trail explains every row:
replayed onto nothing, it gives the tables (``crm_trail.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from homing.apps.crm.rules import CHECKS, TRANSITIONS
from homing.cli._demo.crm_trail import SCOPES, explain
from homing.cli._demo.devices import Device, DeviceOutcome, devices
from homing.cli._demo.office import OFFICE, Desk, at_desk
from homing.cli._demo.proof import prove
from homing.cli._demo.season import Tell, must
from homing.client import EditError

WORKERS = ("ana", "ben", "carl", "dora")
CARRIED = {**{f"{login}s-phone": login for login in WORKERS}, "office-laptop": OFFICE}
CUSTOMERS, JOBS, MATERIALS = 60, 200, 2_000
BEFORE = 1_000
"""Materials that the office writes down before the week begins; the others are the workers'."""
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
MONDAY = date(2026, 11, 16)
SIGNAL = 0.5
"""How likely a phone has a line in the evening."""
STREETS = ("Elm", "Oak", "Maple", "Harbour", "Mill", "Station")
THINGS = ("Nails", "Screws", "Glue", "Tape", "Pipe", "Tiles", "Paint", "Sand", "Cable", "Sealant", "Boards", "Hinges")
WORK = ("Kitchen", "Roof", "Bathroom", "Floor", "Fence", "Stairs", "Windows", "Porch")


class Outcome(msgspec.Struct, kw_only=True):
    """``ok``: every device equals its scope, and the trail's ``entries`` explain every one of ``rows``."""

    ok: bool
    customers: int
    jobs: int
    materials: int
    entries: int
    unexplained: list[str]
    devices: list[DeviceOutcome]


@dataclass(slots=True)
class Week:
    """What the acts share. ``users``: login → id."""

    desk: Desk
    devices: dict[str, Device]
    users: dict[str, str]
    rng: Random
    tell: Tell
    written: int = 0

    @property
    def phones(self) -> dict[str, Device]:
        """Of those who are still with the company."""
        return {d.login: d for d in self.devices.values() if d.login != OFFICE and not d.wiped}

    @property
    def laptop(self) -> Device:
        return self.devices["office-laptop"]


def play(url: str, database_url: str, *, seed: int, tell: Tell, step: Callable[[int, int], None]) -> Outcome:
    """Play the week on the server at ``url``, which knows the office and nothing else.

    ``step`` is told (days played, days). Raises RuntimeError where something did not come out as it must.
    """
    with TemporaryDirectory(prefix="homing-week-") as folder, at_desk(url) as desk:
        users = {login: desk.make_worker(login, login.title()) for login in WORKERS}
        users[OFFICE] = str(desk.call("GET", "/auth/me")["user"]["id"])
        with devices(url, Path(folder), CARRIED, seed=seed) as carried:
            rng = Random(seed)  # noqa: S311 - a week that can be played again
            week = Week(desk, carried, users, rng, tell)
            for device in carried.values():
                device.replica.store.checks = CHECKS
            _plan(week)
            for number, day in enumerate(DAYS, 1):
                _work(week, day)
                if day == "Tuesday":
                    _tick_the_same(week)
                    _disagree(week)
                if day == "Wednesday":
                    _reassign(week)
                if day == "Thursday":
                    _leave(week)
                step(number, len(DAYS))
            _come_in(week)
            return _prove(week, database_url)


def _plan(week: Week) -> None:
    """The office brings its customers from a spreadsheet, and plans the week on a laptop without a line."""
    lines = [f"Customer {n},555-{n:04},{n} {STREETS[n % len(STREETS)]} Street" for n in range(CUSTOMERS)]
    text = "\n".join(["name,phone,address", *lines])
    taken = week.desk.call("POST", "/customers/import", {"csv": text})
    must(taken["imported"] == CUSTOMERS, f"the import said {taken}")
    week.laptop.settle()
    replica = week.laptop.replica
    customers = [str(row["id"]) for row in replica.rows("customer")]
    for n in range(JOBS):
        start = MONDAY + timedelta(days=n % 10)
        job = replica.create(
            "job",
            {
                "title": f"{WORK[n % len(WORK)]} {n}",
                "customer_id": customers[n % CUSTOMERS],
                "start_date": start.isoformat(),
                "end_date": (start + timedelta(days=3)).isoformat(),
            },
        )
        for login in _crew(n):
            replica.create("job_assignment", {"job_id": job, "user_id": week.users[login]})
        for m in range(BEFORE // JOBS):
            _need(week, week.laptop, job, THINGS[(n + m) % len(THINGS)])
    for device in (week.laptop, *week.phones.values()):
        device.settle()
        device.line.good = False
    week.tell(f"{CUSTOMERS} customers, {JOBS} jobs and {week.written} materials are planned, and on the phones")


def _crew(n: int) -> set[str]:
    """Every fifth job takes two."""
    return {WORKERS[n % 4], WORKERS[(n // 5 + 1) % 4]} if n % 5 == 0 else {WORKERS[n % 4]}


def _need(week: Week, device: Device, job: str, thing: str) -> None:
    quantity = f"{week.rng.randint(1, 400) / 4:.2f}"
    device.replica.create("material", {"job_id": job, "item_name": thing, "quantity": quantity})
    week.written += 1


def _work(week: Week, day: str) -> None:
    """Everybody works on what is on their phone; in the evening some have a line."""
    for login, phone in week.phones.items():
        jobs = phone.replica.rows("job")
        share = (MATERIALS - BEFORE) // (len(DAYS) * len(WORKERS))
        for _ in range(share):
            _need(week, phone, str(week.rng.choice(jobs)["id"]), week.rng.choice(THINGS))
        for material in phone.replica.rows("material", "purchased = 0 AND is_deleted = 0"):
            if week.rng.random() < 0.15:
                phone.replica.update("material", str(material["id"]), purchased=True)
            elif week.rng.random() < 0.01:
                phone.replica.delete("material", str(material["id"]))
        for job in week.rng.sample(jobs, min(len(jobs), 12)):
            _go_on(week, phone, job)
        if jobs:
            phone.replica.update("job", str(jobs[0]["id"]), notes=f"{login} was here on {day}")
    for device in week.devices.values():
        if not device.wiped and week.rng.random() < SIGNAL:
            device.sync()
    # The office meanwhile writes other fields of the same jobs.
    for job in week.desk.call("GET", "/jobs", limit=10)["items"]:
        week.desk.call("PATCH", f"/jobs/{job['id']}", {"description": f"As agreed on {day}"})
    waiting = sum(phone.replica.status().waiting for phone in week.phones.values())
    week.tell(f"{day}: {week.written} materials written down; {waiting} edits are on phones without a line")


def _go_on(week: Week, phone: Device, job: dict[str, Any]) -> None:
    """The next status of a job; now and then one that is not allowed, which the phone says at once."""
    now = str(job["status"])
    phone.replica.update("job", str(job["id"]), status=week.rng.choice(sorted(TRANSITIONS[now])))
    if week.rng.random() < 0.1:
        current = str(phone.replica.rows("job", "id = ?", [job["id"]])[0]["status"])
        wrong = week.rng.choice(sorted(set(TRANSITIONS) - TRANSITIONS[current] - {current}))
        try:
            phone.replica.update("job", str(job["id"]), status=wrong)
        except EditError:
            return
        raise RuntimeError(f"{phone.name} took {now} to {wrong}")


def _shared(week: Week) -> tuple[str, Device, Device]:
    """A job that two phones hold, both of which have just synced."""
    for phone in week.phones.values():
        phone.line.good = True
        phone.settle()
    held = [(phone, {str(row["id"]) for row in phone.replica.rows("job")}) for phone in week.phones.values()]
    for (one, ones), (other, others) in combinations(held, 2):
        if both := sorted(ones & others):
            return both[0], one, other
    raise RuntimeError("no job has two people")


def _tick_the_same(week: Week) -> None:
    job, one, other = _shared(week)
    _need(week, one, job, "Ladder")
    for phone in (one, other):
        phone.settle()
    conflicts = other.tally.conflicts
    ladder = str(one.replica.rows("material", "job_id = ? AND item_name = 'Ladder'", [job])[0]["id"])
    for phone in (one, other):
        phone.replica.update("material", ladder, purchased=True)
    one.replica.update("job", job, notes="The ladder is in the van")
    for phone in (one, other):
        phone.settle()
        phone.line.good = False
    bought = week.desk.call("GET", f"/jobs/{job}")
    (row,) = [each for each in bought["materials"] if each["id"] == ladder]
    must(row["purchased_by_id"] == week.users[one.login], "the ladder was not bought by who ticked it first")
    must(other.tally.conflicts == conflicts, "ticking the same was a conflict")
    week.tell(
        "Two people ticked the same ladder on phones without a line: it was bought once, and nobody has to decide"
    )


def _disagree(week: Week) -> None:
    job, one, other = _shared(week)
    now = week.desk.call("GET", f"/jobs/{job}")["status"]
    if now != "IN_PROGRESS":
        # Every state leads there within two steps.
        if "IN_PROGRESS" not in TRANSITIONS[now]:
            week.desk.call("POST", f"/jobs/{job}/status", {"status": sorted(TRANSITIONS[now])[0]})
        week.desk.call("POST", f"/jobs/{job}/status", {"status": "IN_PROGRESS"})
    for phone in (one, other):
        phone.settle()
    one.replica.update("job", job, status="ON_HOLD")
    other.replica.update("job", job, status="COMPLETED")
    before = other.tally.conflicts
    for phone in (one, other):
        phone.settle()
        phone.line.good = False
    must(other.tally.conflicts == before + 1, "two different statuses were no conflict")
    _decide(week)
    week.tell(f"{one.login} put a job on hold that {other.login} called completed: the office decided")


def _decide(week: Week) -> None:
    while found := week.desk.call("GET", "/mobile/conflicts", resolution="pending", limit=100)["items"]:
        for each in found:
            week.desk.call("POST", f"/mobile/conflicts/{each['id']}/resolve", {"resolution": "accept_server"})


def _reassign(week: Week) -> None:
    """Jobs change hands while their old worker has edits that are not sent."""
    ben = week.devices["bens-phone"]
    ben.line.good = True
    ben.settle()
    handed = ben.replica.rows("job")[:10]
    for job in handed:
        ben.replica.update("job", str(job["id"]), notes="The customer wants another colour")
    for job in handed:
        week.desk.call("DELETE", f"/jobs/{job['id']}/assignments/{week.users['ben']}")
        week.desk.call("PUT", f"/jobs/{job['id']}/assignments/{week.users['carl']}")
    refused, removed = ben.tally.refused, ben.tally.removed
    ben.settle()
    ben.line.good = False
    kept = [verdict for verdict in ben.replica.refused() if "colour" in str(verdict.payload)]
    must(len(kept) == len(handed), f"of {len(handed)} edits that were not sent, {len(kept)} are kept and shown")
    week.tell(
        f"{len(handed)} jobs went from ben to carl: {ben.tally.removed - removed} rows left ben's phone;"
        f" his {ben.tally.refused - refused} unsent edits of them stayed on it, and he is told"
    )


def _leave(week: Week) -> None:
    """Dora leaves: her work goes to Ana, her phone is revoked and removes what it holds."""
    dora = week.devices["doras-phone"]
    dora.line.good = True
    dora.settle()
    jobs = [str(row["id"]) for row in dora.replica.rows("job")]
    for job in jobs:
        week.desk.call("DELETE", f"/jobs/{job}/assignments/{week.users['dora']}")
        week.desk.call("PUT", f"/jobs/{job}/assignments/{week.users['ana']}")
    (row,) = [d for d in week.desk.call("GET", "/mobile/devices", limit=100)["items"] if d["device_id"] == dora.name]
    week.desk.call("PATCH", f"/users/{week.users['dora']}", {"is_active": False})
    week.desk.call("PATCH", f"/mobile/devices/{row['id']}", {"status": "revoked", "reason": "left the company"})
    while not dora.wiped:
        dora.sync()
    must(not dora.path.exists(), "the revoked phone kept its replica")
    week.tell(f"dora left: {len(jobs)} jobs went to ana, and her phone removed everything it held")


def _come_in(week: Week) -> None:
    """On Friday evening everybody has a line, the office decides what is open, and all sync until nothing is new."""
    ana = week.devices["anas-phone"]
    while week.written < MATERIALS:
        _need(week, ana, str(week.rng.choice(ana.replica.rows("job"))["id"]), week.rng.choice(THINGS))
    there = [device for device in week.devices.values() if not device.wiped]
    for device in there:
        device.settle()
    _decide(week)
    for device in there:
        device.line.good = True
    news = True
    while news:
        news = any([device.settle() for device in there])  # noqa: C419 - all of them, also after the first with news
    for device in there:
        report = device.client.sync(verify=True)
        must(report.ok and report.verified is True, f"{device.name}: the server's digests differ")


def _prove(week: Week, database_url: str) -> Outcome:
    results = []
    for device in week.devices.values():
        if device.wiped:
            rows, wrong = {}, ["its file is still there"] if device.path.exists() else []
        else:
            proof = prove(database_url, week.users[device.login], device.path, scopes=SCOPES)
            rows, wrong = dict(proof.rows), list(proof.wrong)
        results.append(device.result(rows, wrong))
    must(sum(each.lost for each in results) > 5, "no line lost anything: the week proves nothing about retries")
    told = explain(database_url)
    return Outcome(
        ok=not told.unexplained and all(each.equal for each in results),
        customers=told.rows["customer"],
        jobs=told.rows["job"],
        materials=told.rows["material"],
        entries=told.entries,
        unexplained=list(told.unexplained),
        devices=results,
    )
