"""``homing client``: a real replica in a SQLite file, for trying things out and for scripts.

Every command prints for people, or one JSON value with ``--json``. The exit status is 0 when it went through, 1 when
something has to happen first; the reason is printed either way.
"""

from __future__ import annotations

import getpass
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from homing.cli._rules import rules_of
from homing.client import (
    Client,
    EditError,
    OtherUserError,
    Progress,
    RefusalError,
    Replica,
    Report,
    Verdict,
)
from homing.protocol.enrolment import LINK, read_link
from homing.protocol.errors import Action

command = App(name="client", help="A replica in a SQLite file: edit offline, sync when there is a line.")

DEFAULT = Path("replica.db")
WIDTH_MAX = 60
"""Characters of a value shown in a table; --json shows all of it."""

Where = Annotated[Path, Parameter(name=["--replica", "-r"], help="The replica's file.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON value.")]
Payload = Annotated[str, Parameter(allow_leading_hyphen=True, help="JSON, @FILE, or - for standard input.")]


@command.command
def init(server: str, *, replica: Where = DEFAULT, tables: str | None = None, json: Json = False) -> None:
    """Make a replica of SERVER (its address). TABLES narrows what is pulled: resource types, separated by commas."""
    wanted = None if tables is None else [name.strip() for name in tables.split(",") if name.strip()]
    with _reported(json), Client(Replica(replica, tables=wanted), server) as client:
        _show(_status(client.replica), json=json)


@command.command
def login(name: str, *, replica: Where = DEFAULT, password: str | None = None, json: Json = False) -> None:
    """Sign in as NAME and register this device. Without --password it is asked for, or read from standard input."""
    with _opened(replica, json) as client:
        if password is None:
            password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        user = client.login(name, password)
        client.register_device(
            device_type="shell", os_version=platform.platform(), app_version=platform.python_version()
        )
        client.fetch_schema()
        _show({"user": user, "tables": sorted(client.replica.store.tables())}, json=json)


@command.command
def watch(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """Sync, then print changes as they happen, a line each, until somebody has to do something (or Ctrl-C)."""
    with _opened(replica, json) as client, suppress(KeyboardInterrupt):
        for heard in client.follow():
            for resource_type, row_id, action in heard.rows:
                line = {"action": action, "resource_type": resource_type, "id": row_id}
                print(msgspec.json.encode(line).decode() if json else f"{action} {resource_type} {row_id}", flush=True)
            if heard.report is not None and not heard.report.ok:
                print(f"{heard.report.action}: {heard.report.detail}", file=sys.stderr, flush=True)
                ended = heard.report.action is not Action.RETRY
                if ended:
                    raise SystemExit(1)


@command.command
def enroll(token: str, *, replica: Where = DEFAULT, username: str | None = None, json: Json = False) -> None:
    """Enrol this device with TOKEN: the text of a QR code, or a code from paper once `init` named the server."""
    with _reported(json):
        if token.startswith(LINK):
            server: str | None = read_link(token).url
        else:
            server = None
            if not replica.exists():
                raise FileNotFoundError(f"there is no replica at {replica}: homing client init SERVER makes one")
        with Client(Replica(replica), server) as client:
            user = client.enroll(
                token,
                username,
                device_type="shell",
                os_version=platform.platform(),
                app_version=platform.python_version(),
            )
            client.fetch_schema()
            _show({"user": user, "tables": sorted(client.replica.store.tables())}, json=json)


@command.command
def logout(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """End the session. Rows and unsent edits stay."""
    with _opened(replica, json) as client:
        client.logout()
        _show({"signed_in": False}, json=json)


@command.command
def sync(*, replica: Where = DEFAULT, verify: bool = False, json: Json = False) -> None:
    """Push, pull, ack, upload. --verify then compares digests and repairs what differs."""
    with _opened(replica, json) as client:
        _finish(client.sync(verify=verify), json=json)


@command.command
def push(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """Only send the outbox."""
    with _opened(replica, json) as client:
        _finish(client.push(), json=json)


@command.command
def pull(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """Only pull, and ack."""
    with _opened(replica, json) as client:
        _finish(client.pull(), json=json)


@command.command
def status(*, replica: Where = DEFAULT, server: bool = False, json: Json = False) -> None:
    """How the replica stands; --server asks the server for its view too."""
    with _opened(replica, json) as client:
        found = _status(client.replica)
        if server:
            found["server_status"] = client.status()
        _show(found, json=json)


@command.command(name="list")
def list_rows(table: str, *, where: str = "", limit: int = 50, replica: Where = DEFAULT, json: Json = False) -> None:
    """Rows of TABLE (a resource type) with the local edits. --where is SQL over its columns."""
    with _opened(replica, json) as client:
        _show(client.replica.rows(table, where, limit=limit), json=json)


@command.command
def show(table: str, row_id: str, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """One row, values as they travel."""
    with _opened(replica, json) as client:
        row = client.replica.get(table, row_id)
        if row is None:
            raise EditError("not_found", f"there is no {table} {row_id} here")
        _show(row, json=json)


@command.command
def create(table: str, payload: Payload, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """Make a row. Prints its id: a temp id until the next sync, valid for ever."""
    with _editing(replica, json) as client:
        _show({"id": client.replica.create(table, _object(payload))}, json=json)


@command.command
def update(table: str, row_id: str, payload: Payload, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """Change fields of a row; only what differs will be sent."""
    with _editing(replica, json) as client:
        _show({"op": client.replica.update(table, row_id, **_object(payload))}, json=json)


@command.command
def delete(table: str, row_id: str, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """Delete a row."""
    with _editing(replica, json) as client:
        _show({"op": client.replica.delete(table, row_id)}, json=json)


@command.command
def attach(
    table: str,
    row_id: str,
    file: Path,
    *,
    field: str = "media",
    content_type: str = "application/octet-stream",
    replica: Where = DEFAULT,
    json: Json = False,
) -> None:
    """Attach FILE to a row; it is copied now and uploaded by the next sync."""
    with _opened(replica, json) as client:
        _show({"attachment": client.replica.attach(table, row_id, field, file, content_type)}, json=json)


@command.command
def conflicts(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """Edits that met somebody else's; the office decides."""
    with _opened(replica, json) as client:
        _show(_verdicts(client.replica.conflicts()), json=json)


@command.command
def refused(*, replica: Where = DEFAULT, json: Json = False) -> None:
    """Edits that were refused, and why."""
    with _opened(replica, json) as client:
        _show(_verdicts(client.replica.refused()), json=json)


@command.command
def retry(op: str, payload: Payload | None = None, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """Send a refused or conflicting edit again, changed if PAYLOAD is given."""
    with _editing(replica, json) as client:
        _show({"op": client.replica.retry(op, None if payload is None else _object(payload))}, json=json)


@command.command
def discard(op: str, *, replica: Where = DEFAULT, json: Json = False) -> None:
    """Give up an edit that was refused, is in conflict, or was never sent."""
    with _opened(replica, json) as client:
        _show({"discarded": client.replica.discard(op)}, json=json)


@command.command
def check(*, repair: bool = False, replica: Where = DEFAULT, json: Json = False) -> None:
    """Whether the rows are what the server's rows and the edits make them; --repair makes them so."""
    with _opened(replica, json) as client:
        found = client.replica.repair() if repair else client.replica.check()
        _show([asdict(difference) for difference in found], json=json)
        if found and not repair:
            raise SystemExit(1)


@contextmanager
def _opened(path: Path, json: bool) -> Iterator[Client]:
    """The replica's client, with its progress on a terminal."""
    with _reported(json):
        if not path.exists():
            raise FileNotFoundError(f"there is no replica at {path}: homing client init SERVER makes one")
        with _watching(quiet=json) as watch, Client(path, watch=watch) as client:
            if client.replica.salvaged is not None:
                sys.stderr.write(f"the file was damaged; its edits were saved: {asdict(client.replica.salvaged)}\n")
            yield client


@contextmanager
def _editing(path: Path, json: bool) -> Iterator[Client]:
    """The same, refusing at once what the rules of the applications installed here refuse."""
    with _opened(path, json) as client:
        store = client.replica.store
        store.checks = rules_of(table.wire.app for table in store.tables().values())
        yield client


@contextmanager
def _reported(json: bool) -> Iterator[None]:
    """What is wrong as a sentence, or as JSON, and exit status 1."""
    try:
        yield
    except (EditError, RefusalError) as error:
        found: dict[str, Any] = {"error": error.code, "detail": str(error)}
        if isinstance(error, RefusalError):
            found |= {"action": error.action.value, "detail": error.detail}
    except (OtherUserError, FileNotFoundError, ValueError) as error:
        found = {"error": type(error).__name__, "detail": str(error)}
    else:
        return
    if json:
        _show(found, json=True)
    else:
        sys.stderr.write(f"{found['error']}: {found['detail']}\n")
    raise SystemExit(1)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Progress bars on standard error, where somebody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"))
    with Bars(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def watch(step: Progress) -> None:
            if step.phase not in tasks:
                tasks[step.phase] = bars.add_task(step.phase, total=step.total)
            bars.update(tasks[step.phase], completed=step.done, total=step.total)

        yield watch


def _finish(report: Report, *, json: bool) -> None:
    found = asdict(report)
    del found["pushed"]["asked"]
    _show({"ok": report.ok, **found}, json=json)
    if not report.ok or report.verified is False:
        raise SystemExit(1)


def _status(replica: Replica) -> dict[str, Any]:
    return {
        **asdict(replica.status()),
        "refused": len(replica.refused()),
        "conflicts": len(replica.conflicts()),
    }


def _verdicts(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [asdict(verdict) for verdict in found]


def _object(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    return msgspec.json.decode(text, type=dict[str, Any])


def _show(found: Any, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    rows = found if isinstance(found, list) else [{"": name, " ": value} for name, value in found.items()]
    if not rows:
        sys.stdout.write("none\n")
        return
    table = Table(show_header=isinstance(found, list))
    for name in rows[0]:
        table.add_column(str(name), overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console().print(table)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= WIDTH_MAX else text[: WIDTH_MAX - 1] + "…"
