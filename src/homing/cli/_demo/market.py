"""A marketplace's days, played through: clients and freelancers, in browsers and on phones, on the same tables.

Every act is a function and tells what happened; ``play`` is their order. Phones lose their line, and a quarter of what
they send on a bad one; one person edits one profile on two of them; one phone believes that it is 2036. Browsers are
told by real Web Push messages, which a push service of the demo's own decrypts. At the end every phone holds, row for
row, what the database says is its user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import psycopg

from homing.apps.marketplace.rules import CHECKS
from homing.cli._demo import market_metrics
from homing.cli._demo.devices import Device, DeviceOutcome, devices
from homing.cli._demo.market_scopes import MARKET
from homing.cli._demo.office import Desk, at_desk
from homing.cli._demo.proof import prove
from homing.cli._demo.push_endpoint import Endpoint
from homing.cli._demo.season import Tell, must

CLIENTS = ("carl", "cleo")
FREELANCERS = ("femke", "fay", "finn", "gus")
"""Femke wants no news of jobs."""
PEOPLE = (*CLIENTS, *FREELANCERS)
CARRIED = {
    "cleos-phone": "cleo",
    "fays-phone": "fay",
    "fays-tablet": "fay",
    "finns-phone": "finn",
    "guss-phone": "gus",
}
"""Carl and Femke have browsers only; everybody has one besides their phones."""
JOBS = 24
SAVED = 4
"""Jobs that each freelancer with a phone keeps on it."""
FEMKES = 6
"""Proposals that Femke writes at her desk."""
WORK = ("Inbox", "Bookkeeping", "Web shop", "Newsletter", "Translation", "Logo")
SKILLS = ("writing", "english", "german", "design", "python", "tax")
YEARS_AHEAD = 10 * 365
FINGERPRINT = "5f0c1b6e" * 8


class Outcome(msgspec.Struct, kw_only=True):
    """``ok``: every device equals its scope. ``shown``: notifications by whose browser showed them. ``earned`` in
    cents. ``metrics``: the specification's, web against mobile, as the server counts them."""

    ok: bool
    jobs: int
    proposals: int
    decided: int
    earned: int
    shown: dict[str, int]
    metrics: list[list[str]]
    devices: list[DeviceOutcome]


@dataclass(slots=True)
class Clock:
    """A device's: wrong by ``ahead``; ``ago`` is how long before now what is being played happens."""

    ahead: timedelta = timedelta(0)
    ago: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.ago + self.ahead


@dataclass(slots=True)
class Market:
    """What the acts share. ``web``: everybody's browser; ``users``: login → id."""

    url: str
    desk: Desk
    web: dict[str, Desk]
    devices: dict[str, Device]
    clocks: dict[str, Clock]
    users: dict[str, str]
    endpoint: Endpoint
    rng: Random
    tell: Tell
    proposals: dict[tuple[str, str], str] = field(default_factory=dict)
    """Who proposed for which job → the proposal."""
    decided: int = 0

    def profile(self, login: str) -> dict[str, Any]:
        return dict(self.web[login].call("GET", "/marketplace/profile"))

    def lines(self, *, good: bool) -> None:
        for device in self.devices.values():
            device.line.good = good

    def settle(self) -> None:
        """Everybody syncs until nobody has anything new."""
        news = True
        while news:
            news = any([device.settle() for device in self.devices.values()])  # noqa: C419 - all, also after the first


def play(
    url: str,
    database_url: str,
    endpoint: Endpoint,
    *,
    seed: int,
    tell: Tell,
    step: Callable[[int, int], None],
) -> Outcome:
    """Play it on the server at ``url``, which knows the office and nothing else, and sends to ``endpoint``.

    ``step`` is told (acts played, acts). Raises RuntimeError where something did not come out as it must.
    """
    with TemporaryDirectory(prefix="homing-market-") as folder, at_desk(url) as desk:
        users = {login: desk.make_worker(login, login.title()) for login in PEOPLE}
        clocks = {name: Clock() for name in CARRIED}
        clocks["finns-phone"].ahead = timedelta(days=YEARS_AHEAD)
        with (
            browsers(url) as web,
            devices(url, Path(folder), CARRIED, seed=seed, clocks=clocks) as carried,
        ):
            rng = Random(seed)  # noqa: S311 - days that can be played again
            market = Market(url, desk, web, carried, clocks, users, endpoint, rng, tell)
            for device in carried.values():
                device.replica.store.checks = CHECKS
            acts = (
                *(_arrive, _offer, _save, _propose, _send_operations),
                *(_edit_twice, _come_from_2036, _lock, _accept_and_write, _pay),
            )
            for number, act in enumerate(acts, 1):
                act(market)
                step(number, len(acts))
            return _prove(market, database_url)


@contextmanager
def browsers(url: str) -> Iterator[dict[str, Desk]]:
    with ExitStack() as stack:
        yield {login: stack.enter_context(at_desk(url, login)) for login in PEOPLE}


def _arrive(market: Market) -> None:
    """Everybody makes a profile, where they are, and lets their browser be notified."""
    market.settle()
    for login, web in market.web.items():
        mine = {"name": login.title(), "kind": "client" if login in CLIENTS else "freelancer", "skills": ["english"]}
        phone = next((each for each in market.devices.values() if each.login == login), None)
        if phone is None:
            web.call("PUT", "/marketplace/profile", mine)
        else:
            phone.replica.create("profile", mine)
        token = {"pushToken": market.endpoint.subscribe(login), "platform": "web"}
        kept = web.call("POST", "/mobile/notifications/push-token", token)
        must(kept["configured"], f"the server sends no Web Push: {kept}")
    wanted = {"jobMatches": False, "proposalUpdates": True, "paymentAlerts": True, "marketing": False}
    market.web["femke"].call("PUT", "/mobile/notifications/preferences", wanted)
    market.settle()
    market.tell(f"{len(PEOPLE)} people came, {len(CARRIED)} phones and tablets with them; every browser is subscribed")


def _offer(market: Market) -> None:
    for n in range(JOBS):
        web = market.web[CLIENTS[n % 2]]
        job = {
            "title": f"{WORK[n % len(WORK)]} {n}",
            "description": "As we said. " * 20,
            "skills": [SKILLS[n % len(SKILLS)], "english"],
            "budget_min_cents": 10_000,
            "budget_max_cents": 50_000 + 1000 * n,
        }
        web.call("POST", "/marketplace/jobs", job)
    for login in FREELANCERS[1:]:
        market.endpoint.wait_for(login, "job_match")
    market.tell(f"carl and cleo offered {JOBS} jobs in their browsers; {', '.join(FREELANCERS[1:])} were told")


def _save(market: Market) -> None:
    """Freelancers look at the market, on a phone in its condensed form, and keep some jobs for the train."""
    sizes: dict[str, int] = {}
    for platform in ("web", "mobile"):
        listed = market.web["fay"].call("GET", "/api/jobs/marketplace", platform=platform, limit=20)
        sizes[platform] = len(msgspec.json.encode(listed))
        must(len(listed["items"]) == 20, f"the market lists {len(listed['items'])} jobs")
    must(sizes["mobile"] < sizes["web"], f"the form for phones is not smaller: {sizes}")
    listed = market.web["fay"].call("GET", "/api/jobs/marketplace", limit=50)["items"]
    for name in ("fays-phone", "finns-phone", "guss-phone"):
        phone = market.devices[name]
        saved = [
            phone.replica.create("saved_job", {"job_id": str(job["id"])})
            for job in market.rng.sample(listed[:12], SAVED + 1)
        ]
        phone.settle()
        must(len(phone.replica.rows("job")) == SAVED + 1, f"{name} does not hold what was saved on it")
        phone.replica.delete("saved_job", market.rng.choice(phone.replica.rows("saved_job"))["id"])
        phone.settle()
        held = len(phone.replica.rows("job"))
        must((held, len(saved)) == (SAVED, SAVED + 1), f"{name} holds {held} jobs instead of {SAVED}")
    market.settle()
    market.tell(
        f"the market's first page: {sizes['web']:,} bytes for the web, {sizes['mobile']:,} for phones;"
        f" each phone keeps {SAVED} jobs of {JOBS}"
    )


def _propose(market: Market) -> None:
    """Proposals and letters are written on phones without a line, and in browsers."""
    market.lines(good=False)
    for name in ("fays-phone", "finns-phone", "guss-phone"):
        phone = market.devices[name]
        for job in phone.replica.rows("job"):
            cents = market.rng.randrange(100, 400) * 100
            terms = {"job_id": str(job["id"]), "amount_cents": cents, "cover_letter": f"{phone.login} would like to."}
            phone.replica.create("proposal", terms)
            letter = {"recipient_id": str(job["client_id"]), "job_id": str(job["id"]), "content": "Is it urgent?"}
            phone.replica.create("message", letter)
    waiting = sum(each.replica.status().waiting for each in market.devices.values())
    listed = market.web["femke"].call("GET", "/api/jobs/marketplace", limit=FEMKES)["items"]
    for job in listed:
        terms = {"job_id": job["id"], "amount_cents": 30_000, "cover_letter": "From my desk."}
        market.web["femke"].call("POST", "/marketplace/proposals", terms)
    market.settle()
    for client in CLIENTS:
        market.endpoint.wait_for(client, "proposal_received")
    market.tell(
        f"{waiting} proposals and letters were written without a line, {len(listed)} proposals in a browser;"
        " bad lines came back, everything arrived once"
    )


def _send_operations(market: Market) -> None:
    """Femke's old app has no replica: it shows what it fetched, notes what she does, and sends that, twice."""
    with at_desk(market.url, "femke", device_id="femkes-old-phone") as app:
        about = {"device_id": "femkes-old-phone", "device_type": "android", "os_version": "9", "app_version": "0.9.0"}
        app.call("POST", "/mobile/devices", about)
        shown = app.call("GET", "/api/mobile/sync/initial-data")
        job = market.web["femke"].call("GET", "/api/jobs/marketplace", limit=10)["items"][8]
        at = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        noted = [
            {"type": "SAVE_JOB", "data": {"jobId": job["id"]}},
            {"type": "CREATE_PROPOSAL", "data": {"jobId": job["id"], "amountCents": 19_000}},
            {"type": "UPDATE_PROFILE", "data": {"bio": "Since 2009."}},
            {"type": "PAINT_HOUSE", "data": {}},
        ]
        operations = {"operations": [{"timestamp": at, **each} for each in noted]}
        sent = [app.call("POST", "/api/mobile/sync/offline-operations", operations)["results"] for _ in range(2)]
    said = [[each["status"] for each in results] for results in sent]
    must(said == [["ok", "ok", "ok", "error"]] * 2, f"the old app's operations were answered {sent}")
    mine = market.web["femke"].call("GET", "/marketplace/proposals")["items"]
    must(len(mine) == FEMKES + 1, f"Femke has {len(mine)} proposals instead of {FEMKES + 1}")
    market.tell(
        f"Femke's old app, without a replica, showed {len(shown['proposals'])} proposals of its initial data and sent"
        f" {len(noted)} operations twice: three took effect once, one that nobody knows was refused alone"
    )


def _edit_twice(market: Market) -> None:
    """One person, two devices, one profile: the later name wins although it arrives first, and no skill is lost."""
    phone, tablet = market.devices["fays-phone"], market.devices["fays-tablet"]
    profile = str(market.profile("fay")["id"])
    market.clocks["fays-phone"].ago, market.clocks["fays-tablet"].ago = timedelta(hours=2), timedelta(hours=1)
    phone.replica.update("profile", profile, name="Fay F.", skills=["english", "writing"])
    tablet.replica.update("profile", profile, name="Fay Fox", skills=["english", "python"])
    market.clocks["fays-phone"].ago = market.clocks["fays-tablet"].ago = timedelta(0)
    for device in (tablet, phone, tablet):
        device.settle()
    there = market.profile("fay")
    must(there["name"] == "Fay Fox", f"the name is {there['name']}, not the one that was written last")
    must(set(there["skills"]) == {"english", "writing", "python"}, f"the skills are {there['skills']}")
    held = [device.replica.rows("profile", "id = ?", [profile])[0]["name"] for device in (phone, tablet)]
    must(held == ["Fay Fox"] * 2, f"the devices hold {held}")
    market.tell("Fay edited one profile on a phone and a tablet: the name by time, of the skills all")


def _come_from_2036(market: Market) -> None:
    """A phone whose clock is ten years ahead wins nothing by it, and loses nothing either."""
    phone, web = market.devices["finns-phone"], market.web["finn"]
    profile = str(market.profile("finn")["id"])
    market.clocks["finns-phone"].ago = timedelta(minutes=30)
    phone.replica.update("profile", profile, name="Finn of 2036", headline="I was here first")
    market.clocks["finns-phone"].ago = timedelta(0)
    web.call("PUT", "/marketplace/profile", {"name": "Finn Today"})
    phone.settle()
    there = market.profile("finn")
    must(there["name"] == "Finn Today", f"the phone's clock made its edit the newest: {there['name']}")
    must(there["headline"] == "I was here first", "what only the phone had edited is lost")
    phone.replica.update("profile", profile, name="Finn Flint")
    phone.settle()
    must(market.profile("finn")["name"] == "Finn Flint", "an edit that is the newest did not win")
    market.tell("Finn's phone believes that it is 2036: an older edit stayed older, a newer one won")


def _lock(market: Market) -> None:
    """Nobody accepts what they have not read: two edits of one proposal do not merge, the office decides."""
    phone = market.devices["fays-phone"]
    phone.line.good = True
    guss = {str(row["job_id"]) for row in market.web["gus"].call("GET", "/marketplace/proposals")["items"]}
    mine = [row for row in phone.replica.rows("proposal") if str(row["job_id"]) not in guss]
    must(bool(mine), "Gus proposed for everything that Fay did")
    proposal = max(mine, key=lambda row: len(_others(market, str(row["job_id"]))))
    row_id, job = str(proposal["id"]), str(proposal["job_id"])
    client = next(login for login in CLIENTS if market.users[login] == str(proposal["client_id"]))
    seen = market.web[client].call("GET", f"/marketplace/proposals/{row_id}")
    phone.replica.update("proposal", row_id, amount_cents=21_000)
    market.web[client].call("POST", f"/marketplace/proposals/{row_id}/status", {"status": "shortlisted"})
    before = phone.tally.conflicts
    phone.settle()
    must(phone.tally.conflicts == before + 1, "two edits of one version of a proposal were no conflict")
    while found := market.desk.call("GET", "/mobile/conflicts", resolution="pending", limit=100)["items"]:
        for each in found:
            market.desk.call("POST", f"/mobile/conflicts/{each['id']}/resolve", {"resolution": "accept_client"})
            market.decided += 1
    phone.settle()
    now = market.web[client].call("GET", f"/marketplace/proposals/{row_id}")
    must(now["amount_cents"] == 21_000, f"the office decided for the phone, and the amount is {now['amount_cents']}")
    stale = {"status": "accepted", "server_version": seen["server_version"]}
    try:
        market.web[client].call("POST", f"/marketplace/proposals/{row_id}/status", stale)
    except httpx.HTTPStatusError as error:
        must(error.response.status_code == 409, f"accepting another version was answered {error}")
    else:
        raise RuntimeError("a client accepted a proposal that she had not read")
    market.proposals[client, job] = row_id
    market.tell(f"Fay raised her price while {client} shortlisted her: the office decided; nobody accepts unread terms")


def _others(market: Market, job: str) -> list[dict[str, Any]]:
    """Proposals of others than Fay for a job."""
    items = market.desk.call("GET", f"/marketplace/jobs/{job}/proposals")["items"]
    return [each for each in items if each["freelancer_id"] != market.users["fay"]]


def _accept_and_write(market: Market) -> None:
    """The proposal is accepted: the job begins, and the others are told no, wherever they are. One comes too late."""
    ((client, job), proposal) = next(iter(market.proposals.items()))
    web, late = market.web[client], market.devices["guss-phone"]
    market.web["gus"].call("POST", "/marketplace/saved-jobs", {"job_id": job})
    late.settle()
    late.replica.create("proposal", {"job_id": job, "amount_cents": 1_000, "cover_letter": "Am I too late?"})
    others = _others(market, job)
    now = web.call("GET", f"/marketplace/proposals/{proposal}")
    accepted = {"status": "accepted", "server_version": now["server_version"]}
    web.call("POST", f"/marketplace/proposals/{proposal}/status", accepted)
    web.call("POST", "/marketplace/messages", {"recipient_id": market.users["fay"], "job_id": job, "content": "Yes!"})
    market.settle()
    for name in ("fays-phone", "fays-tablet"):
        (held,) = market.devices[name].replica.rows("job", "id = ?", [job])
        must(held["status"] == "in_progress", f"on {name} the job is {held['status']}")
        letters = market.devices[name].replica.rows("message", "content = 'Yes!'")
        must(len(letters) == 1, f"{name} holds {len(letters)} of the letter")
    letter = str(market.devices["fays-phone"].replica.rows("message", "content = 'Yes!'")[0]["id"])
    market.devices["fays-phone"].replica.update("message", letter, is_read=True)
    market.settle()
    market.endpoint.wait_for("fay", "proposal_accepted")
    (refused,) = late.replica.refused()
    must(refused.code == "check_failed", f"the proposal that came too late was answered {refused}")
    market.tell(
        f"{client} accepted Fay's proposal: the job began, other proposals ({len(others)}) were rejected;"
        " one that Gus wrote without a line came too late, stays on his phone, and he is told why"
    )


def _pay(market: Market) -> None:
    """The client pays in the sandbox, from a phone that asks twice; the freelancer's browser and phones are told."""
    ((client, job), proposal) = next(iter(market.proposals.items()))
    web = market.web[client]
    agreed = web.call("GET", f"/marketplace/proposals/{proposal}")
    asked = {
        "proposal_id": proposal,
        "job_id": job,
        "amount": agreed["amount_cents"],
        "currency": agreed["currency"],
        "platform": "mobile",
        "deviceFingerprint": FINGERPRINT,
        "idempotency_key": f"pay-{proposal}",
    }
    intents = [web.call("POST", "/api/payments/create-intent", asked) for _ in range(2)]
    must(intents[0] == intents[1], "asking twice made two payments")
    must(intents[0]["gateway"] == "sandbox", f"the demo would pay through {intents[0]['gateway']}")
    secret = {"client_secret": intents[0]["client_secret"]}
    web.call("POST", "/payments/sandbox/confirm", {**secret, "outcome": "failed"})
    market.endpoint.wait_for(client, "payment_failed")
    paid = [web.call("POST", "/payments/sandbox/confirm", secret)["applied"] for _ in range(2)]
    must(paid == [True, False], f"the payment's event was taken {paid.count(True)} times")
    market.endpoint.wait_for("fay", "payment_received")
    mine = market.web["fay"].call("GET", "/notifications")["items"]
    told = next(each for each in mine if each["notification_type"] == "payment_received")
    for what in ("delivered", "clicked"):
        market.web["fay"].call("POST", f"/notifications/{told['id']}/{what}")
    market.settle()
    for name in ("fays-phone", "fays-tablet"):
        (profile,) = market.devices[name].replica.rows("profile", "user_id = ?", [market.users["fay"]])
        must(
            int(profile["total_earnings_cents"]) == agreed["amount_cents"],
            f"{name} shows {profile['total_earnings_cents']} cents earned",
        )
    market.tell(
        f"{client} paid {agreed['amount_cents'] / 100:.2f} {agreed['currency']} in the sandbox, after one declined try:"
        " one payment, earned once, and both browsers were told by Web Push"
    )


def _prove(market: Market, database_url: str) -> Outcome:
    market.lines(good=True)
    market.settle()
    sent = market_metrics.tell(market.url, phones=CARRIED, browsers=market.web, crashed="guss-phone", proposed="femke")
    market.tell(f"apps and browsers told of {sent} events, each batch twice: {sent} counted")
    results = []
    for device in market.devices.values():
        report = device.client.sync(verify=True)
        must(report.ok and report.verified is True, f"{device.name}: the server's digests differ")
        proof = prove(database_url, market.users[device.login], device.path, scopes=MARKET)
        results.append(device.result(dict(proof.rows), list(proof.wrong)))
    must(sum(each.lost for each in results) > 5, "no line lost anything: this proves nothing about retries")
    femkes = [each for each in market.endpoint.browsers["femke"].shown if "job_match" in str(each)]
    must(not femkes, f"Femke wanted no news of jobs and was told of {len(femkes)}")
    must(market.endpoint.refused == 0, f"{market.endpoint.refused} notifications were not what a push service takes")
    with psycopg.connect(database_url) as conn:
        counted = conn.execute(
            "SELECT (SELECT count(*) FROM marketplace.jobs), (SELECT count(*) FROM marketplace.proposals),"
            " (SELECT coalesce(sum(total_earnings_cents), 0)::bigint FROM marketplace.profiles)"
        ).fetchone()
    assert counted is not None
    jobs, proposals, earned = counted
    return Outcome(
        ok=all(each.equal for each in results),
        jobs=jobs,
        proposals=proposals,
        decided=market.decided,
        earned=earned,
        shown={login: len(browser.shown) for login, browser in market.endpoint.browsers.items()},
        metrics=market_metrics.table(market.url, market.desk),
        devices=results,
    )
