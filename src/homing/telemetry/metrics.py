"""What a batch of metrics is, and what is refused. A batch is taken whole or not at all; the error names the place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from homing.postgres.codec import json_problem
from homing.protocol.errors import Problem

NAME_CHARS_MAX = 200
TEXT_CHARS_MAX = 1000
"""Characters of a metric's value that is text: a state or a version, not a log."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]+( [^\s\x00-\x1f\x7f]+)*")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")


class Metric(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``timestamp`` is when it was measured, by the device's clock. ``value`` may be a number, a text or a truth."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    value: int | float | bool | Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX)]
    timestamp: str
    meta: dict[str, Any] | None = None


def checked(metrics: Sequence[Metric], *, metrics_max: int) -> bytes:
    """The metrics as canonical JSON, times in UTC. Raises Problem: too_many_items, invalid_envelope (with ``path``)."""
    if len(metrics) > metrics_max:
        raise Problem("too_many_items", f"A batch may have {metrics_max} metrics.", limit=metrics_max)
    return msgspec.json.encode(
        [_checked(metric, f"/metrics/{place}") for place, metric in enumerate(metrics)], order="sorted"
    )


def is_name(text: str) -> bool:
    """Whether it is printable words with single spaces between them."""
    return _NAME.fullmatch(text) is not None


def body_hash(canonical: bytes) -> bytes:
    """Tells two batches of the same id apart."""
    return hashlib.sha256(canonical).digest()


def read_time(text: str) -> datetime:
    """RFC 3339 with an offset, to the microsecond, in UTC. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError("use RFC 3339 with 'T', an offset, and at most six digits of a second")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("the year must be 0001 to 9999 in UTC") from None


def write_time(at: datetime) -> str:
    """RFC 3339 in UTC with Z, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _checked(metric: Metric, path: str) -> Metric:
    if not is_name(metric.name):
        raise _invalid(f"{path}/name", "printable words with single spaces between them are needed")
    if sentence := json_problem(metric.value):
        raise _invalid(f"{path}/value", sentence)
    if metric.meta is not None and (sentence := json_problem(metric.meta)):
        raise _invalid(f"{path}/meta", sentence)
    try:
        at = read_time(metric.timestamp)
    except ValueError as error:
        raise _invalid(f"{path}/timestamp", str(error)) from error
    return msgspec.structs.replace(metric, timestamp=write_time(at))


def _invalid(path: str, sentence: str) -> Problem:
    return Problem("invalid_envelope", f"{path}: {sentence}", path=path)
