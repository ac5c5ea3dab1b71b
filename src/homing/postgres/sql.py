"""SQL: where it is written, and how it is sent.

SQL lives in files: ``<package>/queries/<name>.sql``, one statement a file, read once. Parameters are written
``%(name)s`` and a literal percent sign ``%%``. Comment lines are dropped on the way in, because psycopg would look for
parameters in them too: "5 % of the rows" in a comment would be an error when the query runs. Lines that several
statements share are a file whose name begins with an underscore: ``-- include _filters`` stands for what is in
``_filters.sql`` beside it.

What push, pull and live delivery run is composed once per shape, from the catalogue or from a file, as a ``Statement``,
and sent by ``Connection.run_all``: any number of them in one message and one round trip, each prepared on the server
the first time. psycopg's own pipeline wakes PostgreSQL for each statement and makes a cursor of it, which costs more
than most of ours take to run (docs/adr/0068-statements-sent-together.md). Everything else is psycopg's ``execute``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import AsyncConnection, abc, errors, sql
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import TupleRow, tuple_row
from psycopg.waiting import Ready, Wait

PREPARED_MAX = 500
"""Prepared statements kept per connection, of ours and of psycopg's each: more than Homing has, so none is prepared
twice."""

_INCLUDE = re.compile(r"\s*-- include (?P<name>_\w+)")
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_STALE = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)
"""What PostgreSQL says of a prepared statement that somebody deallocated, or whose columns have other types now."""


class Call(NamedTuple):
    """A statement with its values."""

    text: str
    values: Sequence[Any] = ()


BEGIN, COMMIT, ROLLBACK = Call("BEGIN"), Call("COMMIT"), Call("ROLLBACK")


class Answer:
    """What came back of one call."""

    __slots__ = ("_transformer", "result")

    def __init__(self, result: PGresult, transformer: abc.Transformer) -> None:
        self.result = result
        """As libpq has it, with values in PostgreSQL's text form: for what passes through unread."""
        self._transformer = transformer

    @property
    def rows(self) -> list[TupleRow]:
        """All rows, with Python's values."""
        if not self.result.ntuples:
            return []
        self._transformer.set_pgresult(self.result)
        return self._transformer.load_rows(0, self.result.ntuples, tuple)

    @property
    def row(self) -> TupleRow | None:
        """The first row, None where there is none."""
        rows = self.rows
        return rows[0] if rows else None


def quoted(text: str) -> str:
    """As an element of an array's text form."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def array(elements: Iterable[str]) -> str:
    """An array's text form, for ``%(name)s::text::uuid[]``: psycopg makes one of a list far more slowly. ``elements``
    are as they stand in it: texts are ``quoted``."""
    return "{" + ",".join(elements) + "}"


_Key = tuple[str, tuple[int, ...]]
"""A statement's text and the types of its values, as OIDs: what PostgreSQL prepares one plan for."""


_Sent = tuple[_Key, bytes] | None
"""What a result is of: something prepared, under this name; or None, something run."""


class _Dumped(NamedTuple):
    """A call as libpq takes it."""

    key: _Key
    values: Sequence[abc.Buffer | None] | None
    formats: Sequence[Format] | None


def _dump(call: Call, transformer: abc.Transformer) -> _Dumped:
    if not call.values:
        return _Dumped((call.text, ()), None, None)
    values = transformer.dump_sequence(call.values, [PyFormat.AUTO] * len(call.values))
    return _Dumped((call.text, transformer.types or ()), values, transformer.formats)


class Connection(AsyncConnection[TupleRow]):
    """psycopg's, with a second door for statements that run often."""

    def __init__(self, pgconn: PGconn, row_factory: Any = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._names: dict[_Key, bytes] = {}
        """What is prepared, the oldest first."""
        self._named = 0
        self._transformer = Transformer(self)
        self._ahead: list[tuple[_Sent, bool]] = []
        """What was sent ahead, and whether somebody waits for its answer."""

    def send_ahead(self, calls: Sequence[Call], *, answered: bool = False) -> None:
        """Send statements ahead of those that ``run_all`` runs next, so that PostgreSQL is at work on them while those
        are still being made; as often as wanted. Their answers are for nobody, unless they are to be ``answered``: then
        they come first of what that ``run_all`` returns. If one of them fails, it raises.

        Nothing else may be done with the connection in between. One that is given back to its pool instead is closed.
        """
        dumped = [_dump(call, self._transformer) for call in calls]
        self.pgconn.enter_pipeline_mode()
        self._ahead += [(sent, answered) for each in dumped for sent in self._send(each)]
        self.pgconn.flush()  # what the kernel does not take goes with the rest

    async def run_all(self, calls: Sequence[Call], *, needed: int | None = None) -> list[Answer]:
        """Run statements one after the other, in one round trip; their answers, in order.

        Where no transaction is open, and none begins among them, they are one of their own. Raises psycopg.Error for
        the first that fails, be it one that was sent ahead; those after it were not run. If it is not among the first
        ``needed`` ones, it is no error: there are fewer answers.
        """
        dumped = [_dump(call, self._transformer) for call in calls]  # what cannot be sent is refused before anything is
        async with self.lock:
            self.pgconn.enter_pipeline_mode()
            try:
                ahead, self._ahead = self._ahead, []
                sent = [*ahead, *((one, False) for one in self._close_oldest())]
                sent += [(one, True) for each in dumped for one in self._send(each)]
                self.pgconn.pipeline_sync()
                results = await self.wait(_exchange(self.pgconn))
            finally:
                # With answers still to come this fails, and whoever gets the connection back closes it.
                with suppress(psycopg.OperationalError):
                    self.pgconn.exit_pipeline_mode()
        answers: list[Answer] = []
        for result, (prepared, answered) in zip(results, sent, strict=True):
            if result.status not in _DONE:
                error = errors.error_from_result(result)
                if isinstance(error, _STALE):
                    self._names.clear()
                if needed is not None and len(answers) >= needed:
                    break
                raise error
            if prepared is not None:
                self._names[prepared[0]] = prepared[1]
            elif answered:
                answers.append(Answer(result, self._transformer))
        return answers

    def _send(self, call: _Dumped) -> list[_Sent]:
        """Put a call into libpq's buffer; an element for each result that it will give."""
        name = self._names.get(call.key)
        if name is not None:
            self.pgconn.send_query_prepared(name, call.values, call.formats)
            return [None]
        self._named += 1
        name = b"homing_%d" % self._named
        text, types = call.key
        self.pgconn.send_prepare(name, text.encode(), types)
        self.pgconn.send_query_prepared(name, call.values, call.formats)
        return [(call.key, name), None]

    def _close_oldest(self) -> list[_Sent]:
        """Let go of what is prepared beyond the bound."""
        oldest = list(self._names)[: max(0, len(self._names) - PREPARED_MAX)]
        for key in oldest:
            self.pgconn.send_close_prepared(self._names.pop(key))
        return [None] * len(oldest)

    def _deallocate(self, name: bytes | None) -> PQGen[None]:
        """psycopg's, overridden: with all of its own (None: after a rollback, or when a table was dropped) it throws
        away what is prepared here."""
        if name is None:
            self._names.clear()
        return super()._deallocate(name)


def _exchange(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Send what is in the buffer, and read results up to the synchronization. For psycopg's ``wait``."""
    while pgconn.flush():
        # The server may have to get rid of answers before it takes more.
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # between the results of two statements
            if pgconn.status == ConnStatus.BAD:
                raise errors.error_from_result(results[-1]) if results else psycopg.OperationalError("connection lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return results
        else:
            results.append(result)


class Statement:
    """SQL with named parameters ``%(name)s``, compiled to PostgreSQL's own placeholders once."""

    __slots__ = ("names", "text")

    def __init__(self, composed: sql.Composable) -> None:
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            name = match.group(1)
            if name is None:
                return "%"
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        self.text = _PARAMETER.sub(number, composed.as_string(None))
        self.names = tuple(names)

    def call(self, params: Mapping[str, Any]) -> Call:
        """With its values; every named parameter must be in ``params``."""
        return Call(self.text, [params[name] for name in self.names])

    async def run(self, conn: Connection, params: Mapping[str, Any]) -> Answer:
        """Run it alone."""
        return (await conn.run_all([self.call(params)]))[0]


@cache
def statement(package: str, name: str) -> Statement:
    """The statement in ``<package>/queries/<name>.sql``, ready to be sent."""
    return Statement(sql.SQL(load(package, name)))


@cache
def load(package: str, name: str) -> LiteralString:
    """The text in ``<package>/queries/<name>.sql``; ``name`` may name a folder (``pull/read_departures``).

    It is as trusted as the code it ships with, so it may pass for a literal.
    Raises FileNotFoundError when there is no such file.
    """
    text = files(package).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    lines: list[LiteralString] = []
    for line in text.splitlines():
        if include := _INCLUDE.fullmatch(line):
            lines.append(load(package, include["name"]))
        elif not line.lstrip().startswith("--"):
            lines.append(line)
    return "\n".join(lines).strip().rstrip(";")


async def fetch_all(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[TupleRow]:
    """Every row of the answer. Only for queries that bound their own size."""
    return await (await conn.execute(query, params or {})).fetchall()


async def fetch_one(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> TupleRow | None:
    """The first row of the answer, or None when there is none."""
    return await (await conn.execute(query, params or {})).fetchone()


async def execute(conn: Connection, query: LiteralString, params: Mapping[str, Any] | None = None) -> int:
    """Run a statement for its effect; the number of rows it touched."""
    return (await conn.execute(query, params or {})).rowcount
