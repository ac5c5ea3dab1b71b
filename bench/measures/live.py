"""Live delivery: how soon a write arrives at somebody else, and how many can listen.

The thin server's ``/ws`` says only that something changed; who wants the row pulls it then. Homing sends the row. So
what is compared is the row at its reader, for the thin server the hint and the pull after it; and when the hint was
there is shown beside it. The servers take turns, write by write, so that each finds the processors as the other left
them. With one node no second one is running; with two, both servers have one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from bench.contenders import pull
from bench.contenders.homing import Homing, HomingClient, second_node
from bench.contenders.thin import Thin, ThinClient, second_thin
from bench.figures import Figure, milliseconds
from bench.meter import cpu_seconds
from bench.meter import memory as memory_of
from bench.plan import Bench, rotated
from bench.rows import rows
from bench.server import ROOT
from bench.websocket import Socket
from homing.accounts.access import issue_access
from homing.accounts.keys import Keys

TOKEN_SECONDS = 3600
BROADCASTS = 5
MANY_ROWS = 20
"""Rows of one batch that is broadcast: what an office does when it imports something."""
TEAM = uuid.UUID(int=2)


def live(bench: Bench) -> Iterator[Figure]:
    engine = bench.homing
    assert engine is not None, "the measure is about Homing: do not leave it out"
    thin = [each for each in bench.contenders if isinstance(each, Thin)]
    yield from _arrivals(bench, "one node", engine, engine.port, [(each, each.port) for each in thin])
    with ExitStack() as stack:
        other = stack.enter_context(second_node(engine))
        others = [(each, stack.enter_context(second_thin(each))) for each in thin]
        yield from _arrivals(bench, "two nodes", engine, other, others)
    yield from _crowds(bench, engine)


# ------------------------------------------------------------------------------------------------------------ arrival


def _arrivals(bench: Bench, case: str, engine: Homing, port: int, thin: Sequence[tuple[Thin, int]]) -> Iterator[Figure]:
    """Written at each server's first node, heard at ``port``."""
    with ExitStack() as stack:
        legs = [("thin", _thin_leg(stack, each, heard_at)) for each, heard_at in thin]
        legs.append(("homing", _homing_leg(stack, engine, port)))
        p50: dict[tuple[str, str], list[float]] = {}
        every: dict[tuple[str, str], list[float]] = {}
        for number in range(bench.plan.rounds + 1):
            found: dict[tuple[str, str], list[float]] = {}
            for sample in range(bench.plan.samples):
                for name, leg in rotated(legs, sample):
                    for what, seconds in leg(rows(1, seed=next(bench.seeds))[0]).items():
                        found.setdefault((name, what), []).append(seconds)
            if number:
                for each, values in found.items():
                    p50.setdefault(each, []).append(milliseconds(values, 0.5))
                    every.setdefault(each, []).extend(values)
        for (name, what), rounds in p50.items():
            yield Figure(
                measure="live arrival",
                case=f"{what}, {case}",
                contender=name,
                unit="ms p50",
                better="lower",
                rounds=rounds,
                extra={"p99 ms": milliseconds(every[name, what], 0.99), "samples": len(every[name, what])},
            )


Leg = Callable[[Any], dict[str, float]]
"""Writes a row; how long until the hint was there, and the row."""


def _thin_leg(stack: ExitStack, thin: Thin, port: int) -> Leg:
    writer, reader = thin.client(0), ThinClient(port)
    stack.callback(writer.close)
    stack.callback(reader.close)
    hints = _Listener(stack, Socket(port, "/ws"), b'"scope"')
    token = pull(reader, None, 5000).token

    def leg(row: Any) -> dict[str, float]:
        nonlocal token
        hinted = hints.arrival(lambda: writer.write(row))
        page = reader.page(token, 1000)
        while not page.changes:  # some other transaction is open: its feed waits for that
            page = reader.page(token, 1000)
        token = page.token
        return {"the hint": hinted - hints.began, "the row": time.monotonic() - hints.began}

    return leg


def _homing_leg(stack: ExitStack, engine: Homing, port: int) -> Leg:
    writer: HomingClient = engine.client(0)
    stack.callback(writer.close)
    reader = engine.client(1)
    token = pull(reader, None, 5000).token
    reader.close()
    socket = Socket(port, "/api/v1/live")
    socket.send({"type": "subscribe", "token": engine.worker.access_token(1), "since_token": token})
    while b'"type":"current"' not in socket.receive():
        pass
    listener = _Listener(stack, socket, b'"type":"entity_update"')
    return lambda row: {"the row": listener.arrival(lambda: writer.write(row)) - listener.began}


class _Listener:
    """Reads a socket in a thread, so that a message is noticed while the writer still waits for its answer."""

    def __init__(self, stack: ExitStack, socket: Socket, wanted: bytes) -> None:
        self.began = 0.0
        self._arrived = 0.0
        self._news = threading.Event()
        self._socket, self._wanted = socket, wanted
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        stack.callback(socket.close)

    def _run(self) -> None:
        while message := self._socket.receive():
            if self._wanted in message:
                self._arrived = time.monotonic()
                self._news.set()

    def arrival(self, write: Callable[[], None]) -> float:
        self._news.wait(0.002)  # one more of before, if somebody else wrote
        self._news.clear()
        self.began = time.monotonic()
        write()
        if not self._news.wait(30):
            raise SystemExit("a write did not arrive within 30 s")
        return self._arrived


# ------------------------------------------------------------------------------------------------------------- crowds


def _crowds(bench: Bench, engine: Homing) -> Iterator[Figure]:
    most = max(bench.plan.sockets)
    tokens = _people(engine, most)
    writer = engine.user("announcer", devices=1, teams=[TEAM]).client(0)
    for count in bench.plan.sockets:
        with _crowd(engine.port) as ask:
            before = memory_of(engine.pid).rss
            opened = ask({"do": "open", "tokens": [(token, None) for token in tokens[:count]]})
            assert opened["current"] == count, opened
            held = memory_of(engine.pid).rss
            yield _figure("live sockets, memory", f"{count:,} idle", "KiB/socket", [(held - before) * 1024 / count],
                          {"errors": opened["errors"], "opened in s": round(opened["seconds"], 1)},
                          "lower")  # fmt: skip
            for rows_at_once in (1, MANY_ROWS):
                rates, spans, sent = [], [], rows_at_once * count
                spent = cpu_seconds(engine.pid)
                for _ in range(BROADCASTS):
                    ask({"do": "reset"})
                    batch = rows(rows_at_once, seed=next(bench.seeds))
                    body = writer.encode(batch)
                    began = time.monotonic()
                    writer.push(body, rows_at_once)
                    found = ask({"do": "updates", "count": sent})
                    assert found["updates"] == sent, found
                    rates.append(round(sent / (found["last"] - found["first"]), 0))
                    spans.append(found["last"] - began)
                extra = {
                    "from the write to the last, ms p50": milliseconds(spans, 0.5),
                    "CPU of the server, µs/message": (cpu_seconds(engine.pid) - spent) / (BROADCASTS * sent) * 1e6,
                }
                case = f"{rows_at_once} of one batch to {count:,}"
                yield _figure("live broadcast", case, "messages/s", rates, extra, "higher")
            if count == most:
                found = ask({"do": "drop"})
    herd = bench.plan.herd
    with _crowd(engine.port) as ask:
        opened = ask({"do": "open", "tokens": [(token, None) for token in tokens[:herd]]})
        assert opened["current"] == herd, opened
        took, errors = [], 0
        for _ in range(3):
            found = ask({"do": "herd", "seconds": 1.0})
            took.append(round(found["seconds"], 2))
            errors += found["errors"] + found["byes"] + herd - found["current"]
        yield _figure(
            "live herd", f"{herd:,} reconnect within 1 s", "s until all are current", took, {"errors": errors}, "lower"
        )


def _figure(measure: str, case: str, unit: str, found: list[float], extra: dict[str, Any], better: Any) -> Figure:
    return Figure(
        measure=measure, case=case, contender="homing", unit=unit, better=better,
        rounds=[round(each, 2) for each in found], extra=extra,
    )  # fmt: skip


def _people(engine: Homing, count: int) -> list[str]:
    """Access tokens of so many people of one team, each with a session of their own."""
    with psycopg.connect(engine.url, autocommit=True) as conn:
        conn.execute("DELETE FROM bench.members WHERE team_id = %s", [TEAM])
        found = conn.execute(
            "WITH u AS (INSERT INTO homing.users (username, name, role, user_type)"
            "  SELECT 'listener ' || g || ' ' || gen_random_uuid(), 'listener', 'WORKER', 'mobile'"
            "  FROM generate_series(1, %s) g RETURNING id),"
            " s AS (INSERT INTO homing.sessions (user_id, expires_at)"
            "  SELECT id, now() + interval '1 day' FROM u RETURNING id, user_id),"
            " m AS (INSERT INTO bench.members (user_id, team_id) SELECT id, %s FROM u)"
            " SELECT s.user_id, s.id FROM s",
            [count, TEAM],
        ).fetchall()
        secret = conn.execute(
            "SELECT left(replace(id::text, '-', ''), 12), secret FROM homing.keys"
            " WHERE purpose = 'access' AND retired_at IS NULL"
            " ORDER BY created_at DESC LIMIT 1"
        ).fetchall()
        conn.execute("ANALYZE")
    keys = Keys(access=dict(secret), token={}, media={})
    return [
        issue_access(
            keys, user_id=user, role="WORKER", tenant="default", device_id=None, platform="mobile",
            session_id=session, now=datetime.now(UTC), seconds=TOKEN_SECONDS,
        )
        for user, session in found
    ]  # fmt: skip


@contextmanager
def _crowd(port: int) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """A process of live clients; the function gives it a command and returns its answer."""
    command: Sequence[str] = [sys.executable, "-m", "bench.live_clients", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(what: dict[str, Any]) -> dict[str, Any]:
            stdin.write(json.dumps(what) + "\n")
            stdin.flush()
            answer = stdout.readline()
            assert answer, "the crowd's process ended"
            return dict(json.loads(answer))

        try:
            yield ask
        finally:
            stdin.close()
            process.wait(30)
