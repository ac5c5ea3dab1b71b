"""Rates: how many requests somebody may make in how many seconds, and how answers say so.

A rate is a bound on every window of its length, wherever one begins to look, not only on quarters of the hour. It is
written ``100/900``: 100 in 900 seconds. What goes with an answer are the header fields of the IETF's draft
"RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10):

    RateLimit-Policy: "marketplace-web";q=100;w=900         the rate
    RateLimit: "marketplace-web";r=57;t=312                 57 are left, for the next 312 seconds at least
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import msgspec

from homing.protocol.errors import Problem

QUOTA_MAX = 1_000_000
SECONDS_MAX = 86_400
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Rate(msgspec.Struct, frozen=True):
    """At most ``quota`` requests in any ``seconds``.

    ``loose``: a node lets a tenth of it pass before it counts with the others. So the usual request, which is far below
    the bound, costs the database nothing; and the bound is kept to a tenth for each node.
    """

    quota: int
    seconds: int
    loose: bool = False

    @property
    def uncounted(self) -> int:
        """Requests that a node lets pass in a window before it asks the database."""
        return self.quota // 10 if self.loose else 0

    def __str__(self) -> str:
        return f"{self.quota}/{self.seconds}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands with a rate. ``left``: requests they may make in the next ``wait`` seconds; at one node of
    several it is what that node knows."""

    name: str
    rate: Rate
    left: int
    wait: float

    def headers(self) -> list[tuple[str, str]]:
        return [
            ("ratelimit-policy", f'"{self.name}";q={self.rate.quota};w={self.rate.seconds}'),
            ("ratelimit", f'"{self.name}";r={self.left};t={max(1, ceil(self.wait))}'),
        ]


class RateLimited(Problem):
    """The refusal of one request too many. ``standing`` becomes header fields."""

    def __init__(self, standing: Standing) -> None:
        rate = standing.rate
        super().__init__(
            "rate_limited",
            f"At most {rate.quota} in {rate.seconds} seconds. Wait for Retry-After; nothing is lost.",
            retry_after=max(1, ceil(standing.wait)),
            policy=standing.name,
        )
        self.standing = standing


def read_rates(text: str) -> dict[str, Rate | None]:
    """``marketplace-web=100/900, sync=off`` → rates by name, None for off. Raises ValueError."""
    found: dict[str, Rate | None] = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not NAME.fullmatch(name):
            raise ValueError(f"write a rate as name=requests/seconds or name=off, not {part.strip()!r}")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = None if value == "off" else _read(value)
    return found


def _read(text: str) -> Rate:
    match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,5})", text)
    if match is None:
        raise ValueError(f"write a rate as requests/seconds, as 100/900, not {text!r}")
    quota, seconds = int(match[1]), int(match[2])
    if not 1 <= quota <= QUOTA_MAX or not 1 <= seconds <= SECONDS_MAX:
        raise ValueError(f"a rate is 1 to {QUOTA_MAX} requests in 1 to {SECONDS_MAX} seconds, not {text}")
    return Rate(quota, seconds)


def settle(declared: Mapping[str, Rate], chosen: Mapping[str, Rate | None]) -> dict[str, Rate | None]:
    """The rates that apply: those declared, with what the operator chose. Raises ValueError for a name that nobody
    declared: it would silently bound nothing."""
    for name in chosen.keys() - declared.keys():
        raise ValueError(f"there is no rate called {name!r}; there are: {', '.join(sorted(declared))}")
    found: dict[str, Rate | None] = {**declared}
    for name, rate in chosen.items():
        found[name] = None if rate is None else msgspec.structs.replace(rate, loose=declared[name].loose)
    return found
