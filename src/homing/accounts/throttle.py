"""Throttling of sign-ins, per login and per address.

Only failures count, and they count from the moment an attempt begins: a hundred guesses sent at once are a hundred
attempts, not one. What succeeds is given back. Kept in the memory of one node, because guessing at N nodes is N times a
rate that was chosen low enough; the bound on keys is what a flood of made-up logins fills, never the memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from homing.protocol.errors import Problem

KEYS_MAX = 50_000
"""Logins or addresses remembered at once; the ones longest quiet are forgotten first."""


@dataclass(slots=True)
class Throttle:
    """At most ``attempts`` failures per key in ``seconds``, refilled evenly. Times are monotonic seconds."""

    attempts: int
    seconds: float
    keys_max: int = KEYS_MAX
    _spent: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, key: str, *, now: float) -> None:
        """Count an attempt. Raises Problem("rate_limited") with the seconds until the next one."""
        spent = self._spent_now(key, now)
        if spent + 1 > self.attempts:
            wait = (spent + 1 - self.attempts) * self.seconds / self.attempts
            raise Problem("rate_limited", "Too many failed attempts; wait, then try again.", retry_after=int(wait) + 1)
        self._keep(key, spent + 1, now)

    def give_back(self, key: str, *, now: float) -> None:
        """The attempt was right: it does not count."""
        self._keep(key, self._spent_now(key, now) - 1, now)

    def _spent_now(self, key: str, now: float) -> float:
        spent, at = self._spent.get(key, (0.0, now))
        return max(0.0, spent - (now - at) * self.attempts / self.seconds)

    def _keep(self, key: str, spent: float, now: float) -> None:
        self._spent.pop(key, None)
        if spent <= 0:
            return
        if len(self._spent) >= self.keys_max:
            self._spent.popitem(last=False)
        self._spent[key] = (spent, now)


def of_logins() -> Throttle:
    """Ten guesses at one account in five minutes: 1 million a year at most, of passwords that are not common."""
    return Throttle(attempts=10, seconds=300.0)


def of_addresses() -> Throttle:
    """An office behind one address mistypes more often than one person."""
    return Throttle(attempts=100, seconds=300.0)


def of_enrolments() -> Throttle:
    """Wrong tokens from one address. Nobody guesses 128 bits; this only ends the noise, and a person who copies codes
    from paper for a whole team stays far below it."""
    return Throttle(attempts=300, seconds=300.0)


@dataclass(slots=True)
class LoginThrottle:
    """Both bounds together."""

    logins: Throttle = field(default_factory=of_logins)
    addresses: Throttle = field(default_factory=of_addresses)

    def take(self, *, login: str, address: str, now: float) -> None:
        """Raises Problem("rate_limited"). The same for logins that exist and those that do not."""
        self.addresses.take(address, now=now)
        self.logins.take(login.casefold(), now=now)

    def give_back(self, *, login: str, address: str, now: float) -> None:
        self.addresses.give_back(address, now=now)
        self.logins.give_back(login.casefold(), now=now)
