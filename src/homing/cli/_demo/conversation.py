"""A real conversation, played through: one office at its desk, five phones enrolled by QR code, hours without signal.

Every act is a function and tells what happened; ``play`` is their order. The phones' clocks are wrong by up to three
hours, their lines lose a quarter of all messages, and everybody writes and reads while there is no line at all. At the
end every message is there once, in the order its sender wrote them, with the status and the times it must have; and
every phone holds, row for row, what the database says is its.
"""

from __future__ import annotations

from collections import Counter
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
from psycopg.rows import dict_row

from homing.cli._demo.devices import Device, ids
from homing.cli._demo.line import LossyLine
from homing.cli._demo.office import Desk, at_desk
from homing.cli._demo.proof import MESSAGING, SCOPES, prove
from homing.cli._demo.season import Tell, must
from homing.client import Client, Replica

CLOCKS = {"ana": -3.0, "ben": -0.5, "carl": 0.0, "dora": 0.75, "eva": 2.5}
"""Whose phone goes wrong by how many hours."""
HOURS = 6
SEVERAL = 4
"""Messages somebody writes in an hour, at most."""
TIME_ERROR_MAX = timedelta(seconds=60)
"""How far a corrected time of writing may be from the true one: what a request may take on a slow line and machine."""


class PhoneResult(msgspec.Struct, kw_only=True):
    """One line of the table. ``clock_hours``: how wrong its clock was; ``equal``: it holds exactly its rows."""

    phone: str
    clock_hours: float
    syncs: int
    wrote: int
    read: int
    requests_lost: int
    answers_lost: int
    wiped: bool
    rows: dict[str, int]
    equal: bool
    wrong: list[str]


class Outcome(msgspec.Struct, kw_only=True):
    """``ok``: every message is there once, in order, with its status and times, and every phone equals its scope."""

    ok: bool
    written: int
    stored: int
    read: int
    lost_messages: int
    wrong: list[str]
    phones: list[PhoneResult]


@dataclass(slots=True)
class Written:
    """A message as its author means it: when it was really written, and whether it was read since."""

    sender: str
    recipient: str
    content: str
    at: datetime
    read: bool = False


@dataclass(slots=True)
class Clock:
    """A phone's: wrong by ``offset``; ``ago`` is how long before now the hour is that is being played."""

    offset: timedelta
    ago: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return self.true() + self.offset

    def true(self) -> datetime:
        return datetime.now(UTC) - self.ago


@dataclass(slots=True)
class Phone:
    """Somebody of the field with a phone. ``device.login`` is the username; ``user`` the id."""

    device: Device
    clock: Clock
    user: str
    wrote: int = 0
    read: int = 0


@dataclass(slots=True)
class Conversation:
    """What the acts share. ``written`` by content, which is different for each message."""

    desk: Desk
    office: str
    phones: dict[str, Phone]
    rng: Random
    tell: Tell
    step: Callable[[int, int], None]
    written: dict[str, Written] = field(default_factory=dict)


def play(url: str, database_url: str, *, seed: int, tell: Tell, step: Callable[[int, int], None]) -> Outcome:
    """Play it on the server at ``url``, which knows the office and nothing else; ``step`` is told (hours, of hours).

    Raises RuntimeError where something did not come out as it must.
    """
    with TemporaryDirectory(prefix="homing-conversation-") as folder, at_desk(url) as desk:
        office = str(desk.call("GET", "/auth/me")["user"]["id"])
        with enrolled(url, Path(folder), desk, seed=seed) as phones:
            rng = Random(seed)  # noqa: S311 - a conversation that can be played again
            talk = Conversation(desk, office, phones, rng, tell, step)
            _introduce(talk)
            _greet(talk)
            _hours_offline(talk)
            _meet_again(talk)
            _read_at_the_desk(talk)
            wrong = _check(database_url, talk)
            _leave(talk)
            return _prove(talk, database_url, wrong)


@contextmanager
def enrolled(url: str, folder: Path, desk: Desk, *, seed: int) -> Iterator[dict[str, Phone]]:
    """Five phones, each enrolled with the text of a QR code that the office made."""
    with ExitStack() as stack:
        phones: dict[str, Phone] = {}
        for login, hours in CLOCKS.items():
            name = f"{login}s-phone"
            line = LossyLine(Random(f"{seed} {name}"))  # noqa: S311 - see above
            line.good = True
            clock = Clock(timedelta(hours=hours))
            http = stack.enter_context(httpx.Client(transport=line, timeout=30))
            replica = Replica(folder / f"{name}.sqlite", clock=clock, new_id=ids(name).__next__)
            client = stack.enter_context(Client(replica, url, http=http, sleep=lambda _: None))
            scanned = desk.call("POST", "/enrollments", {"username": login})["deep_link"]
            user = client.enroll(scanned, device_type="phone", os_version="1", app_version="1.0.0")
            device = Device(name, login, folder / f"{name}.sqlite", client, line)
            phones[login] = Phone(device, clock, str(user["id"]))
        yield phones


def _introduce(talk: Conversation) -> None:
    listed = talk.desk.call("GET", "/users", user_type="mobile")["items"]
    must([each["username"] for each in listed] == list(CLOCKS), f"the office sees {listed}")
    used = [each for each in talk.desk.call("GET", "/enrollments")["items"] if each["state"] == "used"]
    must(len(used) == len(CLOCKS), f"{len(used)} enrolment tokens were used instead of {len(CLOCKS)}")
    for phone in talk.phones.values():
        phone.device.sync()
    talk.tell(f"{len(talk.phones)} phones enrolled by QR code; their clocks are wrong by up to 3 hours")


def _greet(talk: Conversation) -> None:
    """The office writes to everybody; a message is pending until its phone says that it has it."""
    for login, phone in talk.phones.items():
        sent = _from_desk(talk, login, f"Good morning, {login.title()}!")
        must(sent["status"] == "pending_sync", f"a message to {login}'s phone is {sent['status']} at once")
        phone.device.line.good = False
    for phone in talk.phones.values():
        phone.device.settle()
        phone.device.sync()
    # A lost ack is sent again with the next sync, so a few more of those.
    while any(each["status"] == "pending_sync" for each in talk.desk.call("GET", "/messages", box="sent")["items"]):
        for phone in talk.phones.values():
            phone.device.sync()
    talk.tell("the office wrote to each of them, and each phone said that it has it: pending_sync, synced")
    ana, ben = talk.phones["ana"], talk.phones["ben"]
    _from_phone(talk, ana, ben.user, "Ben, are you at the ferry?")
    for phone in (ana, ben):
        phone.device.settle()
    must(_names(ben) == {"ana", "ben", talk.desk.call("GET", "/auth/me")["user"]["username"]}, f"{_names(ben)}")
    talk.tell("ana wrote to ben, whose phone did not know her name until then")


def _hours_offline(talk: Conversation) -> None:
    """Nobody has a line. Everybody writes and reads, by a clock of their own."""
    for hour in range(HOURS, 0, -1):
        for login, phone in talk.phones.items():
            for n in range(talk.rng.randrange(SEVERAL + 1)):
                phone.clock.ago = timedelta(hours=hour) - timedelta(minutes=n)
                to_ben = login == "ana" and talk.rng.random() < 0.3
                recipient = talk.phones["ben"].user if to_ben else talk.office
                _from_phone(talk, phone, recipient, f"{login}, {hour} hours ago, {n}")
            _read_some(talk, phone)
        login = talk.rng.choice(list(talk.phones))
        _from_desk(talk, login, f"the office to {login}, before hour {hour}")
        talk.step(HOURS - hour + 1, HOURS)
    for phone in talk.phones.values():
        phone.clock.ago = timedelta(0)
    waiting = sum(phone.device.replica.status().waiting for phone in talk.phones.values())
    talk.tell(f"{HOURS} hours without a line: {waiting} messages and reading marks wait on the phones")


def _meet_again(talk: Conversation) -> None:
    """Everybody finds a bad line, in any order, until nobody has anything new; then they read what came."""
    for _ in range(2):
        while [phone for phone in talk.rng.sample([*talk.phones.values()], 5) if phone.device.settle()]:
            pass
        for phone in talk.phones.values():
            _read_some(talk, phone, every=True)
    lost = sum(phone.device.line.losses.requests + phone.device.line.losses.answers for phone in talk.phones.values())
    must(lost > 10, f"only {lost} messages were lost: that would prove nothing about retries")
    talk.tell(f"all lines are back and bad: {lost} requests and answers lost, everything sent again until it arrived")


def _read_at_the_desk(talk: Conversation) -> None:
    desk = talk.desk
    unread = desk.call("GET", "/messages/unread-count")["unread_count"]
    to_office = [each for each in talk.written.values() if each.recipient == talk.office]
    must(unread == len(to_office), f"{unread} unread in the office instead of {len(to_office)}")
    while items := desk.call("GET", "/messages", status="unread", limit=20)["items"]:
        desk.call("POST", "/messages/read", {"ids": [each["id"] for each in items]})
    for each in to_office:
        each.read = True
    must(desk.call("GET", "/messages/unread-count") == {"unread_count": 0}, "something is still unread")
    latest = desk.call("GET", "/conversations")["items"]
    must(len(latest) == len(talk.phones), f"{len(latest)} conversations instead of {len(talk.phones)}")
    for login in talk.phones:  # these stay unread: not every message may end in the same status
        _from_desk(talk, login, f"Good night, {login.title()}.")
    _settle_all(talk)
    talk.tell(f"the office read its {unread} messages; the phones know")


def _settle_all(talk: Conversation) -> None:
    phones = [phone for phone in talk.phones.values() if not phone.device.wiped]
    for phone in phones:
        phone.device.line.good = True
    while [phone for phone in phones if phone.device.settle()]:
        pass


def _check(database_url: str, talk: Conversation) -> list[str]:
    """What is wrong with the messages in the database: one sentence each."""
    query = "SELECT m.* FROM messaging.messages m ORDER BY m.created_at, m.id"
    with psycopg.connect(database_url, row_factory=dict_row) as conn:
        rows = conn.execute(query).fetchall()
    wrong = [f"{content!r} is there {n} times" for content, n in Counter(r["content"] for r in rows).items() if n > 1]
    wrong += [f"{content!r} is missing" for content in talk.written.keys() - {row["content"] for row in rows}]
    for row in rows:
        meant = talk.written.get(row["content"])
        if meant is None or (meant.sender, meant.recipient) != (str(row["sender_id"]), str(row["recipient_id"])):
            wrong.append(f"{row['content']!r} is not what anybody wrote")
            continue
        status = "read" if meant.read else "synced"
        if row["status"] != status:
            wrong.append(f"{row['content']!r} is {row['status']}, not {status}")
        times = [row["created_at"], row["synced_at"], *([row["read_at"]] if meant.read else [])]
        if None in times or times != sorted(times) or (row["read_at"] is not None) != meant.read:
            wrong.append(f"{row['content']!r} has the times {times}")
        if abs(row["written_at"] - meant.at) > TIME_ERROR_MAX:
            wrong.append(f"{row['content']!r} was written at {meant.at}, not {row['written_at']}")
    for sender in {each.sender for each in talk.written.values()}:
        meant_order = [each.content for each in talk.written.values() if each.sender == sender]
        order = [row["content"] for row in rows if str(row["sender_id"]) == sender]
        if order != meant_order:
            wrong.append(f"the messages of {sender} are not in the order in which they were written")
    return wrong


def _leave(talk: Conversation) -> None:
    """Somebody is deleted: the messages leave the other phones, and their own phone removes everything."""
    ben, ana = talk.phones["ben"], talk.phones["ana"]
    before = ana.device.tally.removed
    talk.desk.call("DELETE", f"/users/{ben.user}")
    while not ben.device.wiped:
        ben.device.sync()
    _settle_all(talk)
    gone = [c for c, each in talk.written.items() if ben.user in (each.sender, each.recipient)]
    for content in gone:
        del talk.written[content]
    must(not ben.device.path.exists(), "the phone of who was deleted kept its replica")
    talk.tell(f"ben was deleted: {ana.device.tally.removed - before} rows left ana's phone, and his removed everything")


def _prove(talk: Conversation, database_url: str, wrong: list[str]) -> Outcome:
    wrong = wrong + _check(database_url, talk)
    phones = []
    for login, phone in talk.phones.items():
        device = phone.device
        if device.wiped:
            rows, differ = {}, ["its file is still there"] if device.path.exists() else []
        else:
            report = device.client.sync(verify=True)
            must(report.ok and report.verified is True, f"{device.name}: the server's digests differ")
            proof = prove(database_url, phone.user, device.path, scopes={**SCOPES, **MESSAGING})
            rows, differ = dict(proof.rows), list(proof.wrong)
        phones.append(
            PhoneResult(
                phone=device.name,
                clock_hours=CLOCKS[login],
                syncs=device.tally.syncs,
                wrote=phone.wrote,
                read=phone.read,
                requests_lost=device.line.losses.requests,
                answers_lost=device.line.losses.answers,
                wiped=device.wiped,
                rows=rows,
                equal=not differ,
                wrong=differ,
            )
        )
    with psycopg.connect(database_url) as conn:
        stored, read = conn.execute(
            "SELECT count(*), count(*) FILTER (WHERE status = 'read') FROM messaging.messages"
        ).fetchone() or (0, 0)
    return Outcome(
        ok=not wrong and stored == len(talk.written) and all(phone.equal for phone in phones),
        written=len(talk.written),
        stored=stored,
        read=read,
        lost_messages=sum(phone.requests_lost + phone.answers_lost for phone in phones),
        wrong=wrong,
        phones=phones,
    )


def _from_desk(talk: Conversation, login: str, content: str) -> dict[str, Any]:
    user = talk.phones[login].user
    talk.written[content] = Written(talk.office, user, content, datetime.now(UTC))
    sent: dict[str, Any] = talk.desk.call("POST", "/messages", {"recipient_id": user, "content": content})
    return sent


def _from_phone(talk: Conversation, phone: Phone, recipient: str, content: str) -> None:
    phone.device.replica.create("message", {"recipient_id": recipient, "content": content})
    talk.written[content] = Written(phone.user, recipient, content, phone.clock.true())
    phone.wrote += 1


def _read_some(talk: Conversation, phone: Phone, *, every: bool = False) -> None:
    """Somebody looks at the phone and reads what has come, all of it or here and there."""
    query = "SELECT id, content FROM messages WHERE recipient_id = ? AND status <> 'read' ORDER BY created_at"
    for row in phone.device.replica.query(query, [phone.user]):
        if every or talk.rng.random() < 0.5:
            phone.device.replica.update("message", row["id"], status="read")
            talk.written[row["content"]].read = True
            phone.read += 1


def _names(phone: Phone) -> set[str]:
    return {row["username"] for row in phone.device.replica.query("SELECT username FROM contacts")}
