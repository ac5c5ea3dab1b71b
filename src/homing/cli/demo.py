"""``homing demo``: a server with sample data, or a whole field season played through."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console

from homing.cli._demo import conversation, crm, crm_show, market, market_show, penguins, sample, season, show
from homing.cli._demo.office import ensure_office
from homing.cli._demo.push_endpoint import push_endpoint, vapid_key
from homing.cli._demo.serving import serving
from homing.cli._shell import Json, reported
from homing.server.tenant import Tenant
from homing.settings import Settings

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
    console = Console(stderr=as_json)
    where: list[str] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        where.append(tenant.database.url)

    with (
        TemporaryDirectory(prefix="homing-demo-") as folder,
        serving(_settings(Path(folder), 0, ("fieldwork",)), prepare) as url,
        season.silent() if as_json else show.told(console) as (tell, step),
    ):
        outcome = season.play(url, where[0], every, seed=seed, tell=tell, step=step)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        show.show(console, outcome)
    return 0 if outcome.ok else 1


def _conversation(seed: int, *, as_json: bool) -> int:
    console = Console(stderr=as_json)
    where: list[str] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        where.append(tenant.database.url)

    with (
        TemporaryDirectory(prefix="homing-demo-") as folder,
        serving(_settings(Path(folder), 0, ("fieldwork", "messaging", "crm")), prepare) as url,
        season.silent() if as_json else show.told(console, "conversation", "hours") as (tell, step),
    ):
        outcome = conversation.play(url, where[0], seed=seed, tell=tell, step=step)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        show.show_conversation(console, outcome)
    return 0 if outcome.ok else 1


def _week(seed: int, *, as_json: bool) -> int:
    console = Console(stderr=as_json)
    where: list[str] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        where.append(tenant.database.url)

    with (
        TemporaryDirectory(prefix="homing-demo-") as folder,
        serving(_settings(Path(folder), 0, ("crm",)), prepare) as url,
        season.silent() if as_json else show.told(console, "week", "days") as (tell, step),
    ):
        outcome = crm.play(url, where[0], seed=seed, tell=tell, step=step)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        crm_show.show(console, outcome)
    return 0 if outcome.ok else 1


def _market(seed: int, *, as_json: bool) -> int:
    console = Console(stderr=as_json)
    where: list[str] = []

    async def prepare(tenant: Tenant) -> None:
        await ensure_office(tenant)
        where.append(tenant.database.url)

    with TemporaryDirectory(prefix="homing-demo-") as folder, push_endpoint() as endpoint:
        key = Path(folder) / "vapid.pem"
        key.write_bytes(vapid_key())
        settings = msgspec.structs.replace(
            _settings(Path(folder), 0, ("marketplace",)),
            push_vapid_key=key,
            push_vapid_contact="mailto:office@example.org",
            push_private_endpoints=True,  # the demo's own push service is on this machine, and without TLS
        )
        with (
            serving(settings, prepare) as url,
            season.silent() if as_json else show.told(console, "marketplace", "acts") as (tell, step),
        ):
            outcome = market.play(url, where[0], endpoint, seed=seed, tell=tell, step=step)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(outcome)).decode() + "\n")
    else:
        market_show.show(console, outcome)
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
