"""``homing demo``: a server with sample data, or a whole field season played through."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cyclopts import Parameter
from rich.console import Console

from homing.cli._demo import conversation, crm, crm_show, market, market_show, penguins, sample, season, show
from homing.cli._demo.office import ensure_office
from homing.cli._demo.push_endpoint import push_endpoint, vapid_key
from homing.cli._demo.season import Tell
from homing.cli._demo.serving import serving
from homing.cli._shell import Json, reported
from homing.server.tenant import Tenant
from homing.settings import Settings

Played = TypeVar("Played", season.Outcome, conversation.Outcome, crm.Outcome, market.Outcome)

APPS = ("fieldwork", "messaging", "crm", "marketplace")
"""Every application that ships."""


def command(
    which: Literal["fieldwork", "messaging", "crm", "marketplace"] = "fieldwork",
    /,
    *,
    scenario: bool = False,
    data: Annotated[Path, Parameter(help="Folder of the demo's server.")] = Path("data/demo"),
    port: int = 8000,
    seed: int = 1,
    json: Json = False,
) -> None:
    """Serve sample data on this machine and print what to try; or play a scenario and prove that all devices agree.

    Parameters
    ----------
    which
        What to play with --scenario: fieldwork is a season on three islands, messaging a conversation between an office
        and five phones, crm a contractor's week, marketplace clients and freelancers in browsers and on phones.
    scenario
        Play it, on a server of its own that is removed afterwards.
    port
        Port to listen on; another one where it is taken.
    seed
        Another seed is another course of events: other days with signal, other losses.
    """
    plays = {"fieldwork": _season, "messaging": _conversation, "crm": _week, "marketplace": _market}
    raise SystemExit(reported(lambda: plays[which](seed, as_json=json) if scenario else _demo(data, port)))


def _demo(data: Path, port: int) -> int:
    """Serve until somebody says stop."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    console = Console(stderr=True)
    made: list[bool] = []

    async def prepare(tenant: Tenant) -> None:
        made.append(await ensure_office(tenant))

    console.print("Starting PostgreSQL and the server …")
    with serving(_settings(data, port, APPS), prepare) as url:
        if made[0]:
            sample.fill(url)
        sys.stdout.write(sample.welcome(url))
        sys.stdout.flush()
        stop.wait()
        console.print("Stopping …")
    return 0


def _season(seed: int, *, as_json: bool) -> int:
    try:
        every = penguins.observations()
    except ModuleNotFoundError as error:
        if error.name != "palmerpenguins":
            raise
        sys.stderr.write("The season needs the data of the package palmerpenguins: pip install 'homing[demo]'\n")
        return 1
    with _stage(("fieldwork",), as_json=as_json) as on:
        outcome = season.play(on.url, on.database_url, every, seed=seed, tell=on.tell, step=on.step)
    return _say(outcome, show.show, as_json=as_json)


def _conversation(seed: int, *, as_json: bool) -> int:
    with _stage(("fieldwork", "messaging", "crm"), "conversation", "hours", as_json=as_json) as on:
        outcome = conversation.play(on.url, on.database_url, seed=seed, tell=on.tell, step=on.step)
    return _say(outcome, show.show_conversation, as_json=as_json)


def _week(seed: int, *, as_json: bool) -> int:
    with _stage(("crm",), "week", "days", as_json=as_json) as on:
        outcome = crm.play(on.url, on.database_url, seed=seed, tell=on.tell, step=on.step)
    return _say(outcome, crm_show.show, as_json=as_json)


def _market(seed: int, *, as_json: bool) -> int:
    with TemporaryDirectory(prefix="homing-demo-") as folder, push_endpoint() as endpoint:
        key = Path(folder) / "vapid.pem"
        key.write_bytes(vapid_key())
        push = {
            "push_vapid_key": key,
            "push_vapid_contact": "mailto:office@example.org",
            "push_private_endpoints": True,  # the demo's own push service is on this machine, and without TLS
        }
        with _stage(("marketplace",), "marketplace", "acts", as_json=as_json, **push) as on:
            outcome = market.play(on.url, on.database_url, endpoint, seed=seed, tell=on.tell, step=on.step)
    return _say(outcome, market_show.show, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Stage:
    """A server with nobody but the office, and whom to tell how it goes."""

    url: str
    database_url: str
    tell: Tell
    step: Callable[[int, int], None]


@contextmanager
def _stage(apps: tuple[str, ...], *told: str, as_json: bool, **more: Any) -> Iterator[Stage]:
    """A server of its own for a scenario, removed at the end. ``told`` names what is played and counted, for the
    progress; ``more`` are settings."""
    where: list[str] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        where.append(tenant.database.url)

    with (
        TemporaryDirectory(prefix="homing-demo-") as folder,
        serving(msgspec.structs.replace(_settings(Path(folder), 0, apps), **more), prepare) as url,
        season.silent() if as_json else show.told(Console(), *told) as (tell, step),
    ):
        yield Stage(url, where[0], tell, step)


def _say(outcome: Played, shown: Callable[[Console, Played], None], *, as_json: bool) -> int:
    """Print what came of it; the exit status."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        shown(Console(), outcome)
    return 0 if outcome.ok else 1


def _settings(data: Path, port: int, apps: tuple[str, ...]) -> Settings:
    """The environment's, but on this machine only: the demo's passwords are printed for everybody to see."""
    given = Settings.read(os.environ)
    return msgspec.structs.replace(
        given,
        database_url=None,
        data_dir=data,
        host="127.0.0.1",
        port=port,
        base_url=None,
        media_url=None,
        payments="sandbox",  # nobody's card is charged by a demo, whatever keys the environment names
        apps=apps,
    )
