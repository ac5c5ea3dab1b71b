"""Customers as CSV: out as it comes in, and in only when every line is sound. A long file is checked at once too, and
its customers are made after the answer, by operations.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, so such text gets an apostrophe in
front on its way out, and loses it on its way in.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Annotated
from uuid import UUID

import msgspec

from homing.apps.crm.operations import Operation, enqueue
from homing.postgres.sql import Connection, execute, fetch_all, load

COLUMNS = ("name", "phone", "email", "address", "notes")
LENGTHS = {"name": 255, "phone": 20, "email": 255}
ROWS_MAX = 20_000
"""Lines of one import: read and checked while the browser waits."""
ROWS_AT_ONCE = 1_000
"""Customers made before the answer; of a longer import, each is an operation."""
ERRORS_MAX = 200
"""Errors of an answer: whoever made more made the same one in every line."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


class Import(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``POST /customers/import``. ``csv`` begins with a line of column names: name and address, and any of phone,
    email, notes."""

    csv: Annotated[str, msgspec.Meta(min_length=1)]
    dry_run: bool = False


class LineError(msgspec.Struct, frozen=True):
    """``line`` as an editor counts them, the header being 1."""

    line: int
    column: str | None
    error: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """``imported`` and ``queued`` are 0 for a dry run, and where there are errors. What is queued becomes customers
    soon; ``GET /operations`` says how far it is."""

    rows: int
    imported: int
    queued: int
    errors: list[LineError]
    dry_run: bool


class Line(msgspec.Struct, frozen=True):
    """A sound line, its cells by column; an empty cell is None."""

    number: int
    cells: dict[str, str | None]


def read_lines(text: str) -> tuple[list[Line], list[LineError]]:
    """The sound lines, and what is wrong with the others."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    lines: list[Line] = []
    errors: list[LineError] = []
    seen: dict[tuple[str | None, str | None], int] = {}
    header: list[str] | None = None
    try:
        for cells in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip().lower() for cell in cells]
                errors = _header_errors(header)
                if errors:
                    return [], errors
                continue
            if len(lines) + len(errors) >= ROWS_MAX:
                errors.append(LineError(number, None, f"an import has at most {ROWS_MAX} lines"))
                break
            line = Line(number, {name: _inward(cell) for name, cell in zip(header, cells, strict=False)})
            found = _errors_of(line, len(cells), len(header))
            same = seen.setdefault((line.cells.get("name"), line.cells.get("address")), number)
            if not found and same != number:
                found = [LineError(number, None, f"the same name and address as line {same}")]
            errors += found
            if not found:
                lines.append(line)
    except csv.Error as error:
        errors.append(LineError(reader.line_num, None, f"not CSV: {error}"))
    if header is None:
        errors.append(LineError(1, None, "there is no line of column names"))
    return lines, errors


async def import_customers(conn: Connection, wanted: Import, *, user: UUID) -> Imported:
    """All lines or, where anything is wrong, none; more than ``ROWS_AT_ONCE`` as operations that ``user`` asks for."""
    lines, errors = read_lines(wanted.csv)
    if lines:
        columns = {name: [line.cells.get(name) for line in lines] for name in COLUMNS}
        params = {"names": columns["name"], "addresses": columns["address"]}
        for (n,) in await fetch_all(conn, load(__package__, "find_same_customers"), params):
            errors.append(LineError(lines[n - 1].number, None, "there is a customer with this name and address"))
    writing = not errors and not wanted.dry_run
    queueing = writing and len(lines) > ROWS_AT_ONCE
    if queueing:
        await enqueue(conn, user=user, operations=[_operation(line) for line in lines])
    elif writing and lines:
        params |= {"phones": columns["phone"], "emails": columns["email"], "notes": columns["notes"]}
        await execute(conn, load(__package__, "insert_customers"), params)
    errors.sort(key=lambda error: error.line)
    return Imported(
        rows=len(lines),
        imported=len(lines) if writing and not queueing else 0,
        queued=len(lines) if queueing else 0,
        errors=errors[:ERRORS_MAX],
        dry_run=wanted.dry_run,
    )


def csv_header() -> str:
    return _lines([COLUMNS])


def csv_lines(rows: Iterable[Sequence[str | None]]) -> str:
    """A line for each customer, cells in the order of COLUMNS."""
    return _lines([[_outward(cell) for cell in row] for row in rows])


def _operation(line: Line) -> Operation:
    payload = {name: cell for name, cell in line.cells.items() if cell is not None}
    return Operation(operation="create", entity_type="crm.customer", payload=payload)


def _header_errors(header: Sequence[str]) -> list[LineError]:
    errors = [LineError(1, name, f"columns are {', '.join(COLUMNS)}") for name in header if name not in COLUMNS]
    errors += [LineError(1, name, "the column is missing") for name in ("name", "address") if name not in header]
    errors += [LineError(1, name, "the column is there twice") for name in COLUMNS if header.count(name) > 1]
    return errors


def _errors_of(line: Line, cells: int, columns: int) -> list[LineError]:
    if cells != columns:
        return [LineError(line.number, None, f"{cells} cells under {columns} columns")]
    errors = [
        LineError(line.number, name, "it is empty") for name in ("name", "address") if line.cells.get(name) is None
    ]
    for name, most in LENGTHS.items():
        if len(line.cells.get(name) or "") > most:
            errors.append(LineError(line.number, name, f"it has more than {most} characters"))
    errors += [
        LineError(line.number, name, "NUL is in no text")
        for name, cell in line.cells.items()
        if cell and "\x00" in cell
    ]
    return errors


def _inward(cell: str) -> str | None:
    cell = cell.strip()
    if cell[:1] == "'" and cell[1:].startswith(_FORMULA):
        cell = cell[1:]
    return cell or None


def _outward(cell: str | None) -> str:
    if cell is None:
        return ""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180
    return text.getvalue()
