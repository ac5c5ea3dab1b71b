"""Counting requests, exactly and across nodes, without asking the database each time.

The database holds one row for each key (a rate and who is counted): how many *permits* were taken in the present slot
and in the fifteen before it. A slot is a fifteenth of the rate's window, so what these sixteen add up to is at least
what was taken in any window, wherever it begins. A node takes permits in *allotments*: a quarter of what is left, never
more than ``ALLOTMENT_MAX``, and spends them from memory. An allotment is good in the slot it was taken in. So

* never more than ``quota`` requests are admitted in any window, at however many nodes, whatever they do at once;
* most requests cost microseconds, and one in five or ten a round trip;
* what a node does not spend comes back when the slot is over. Until then it is missing elsewhere: near its bound,
  somebody whose requests go to several nodes may be refused some requests early, for a fifteenth of the window.

Times are the database's: a node only measures how long ago it asked. Of a rate that is ``loose`` a node lets a tenth
pass in each window before it asks; only then may ``quota`` be exceeded, by a tenth for each node.

Only failures count where somebody says so afterwards (``give_back``): a hundred guesses sent at once are a hundred
attempts, not one, and what was right does not count.

Bounded: ``KEYS_MAX`` keys in memory, the longest unasked goes first; in the table, rows of which nothing counts any
more are removed. Keys are keyed hashes: who was counted cannot be read from the table.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import psycopg

from homing.postgres.database import Database
from homing.postgres.sql import execute, fetch_all, load
from homing.protocol.errors import Problem
from homing.protocol.rates import Rate, RateLimited, Standing

log = logging.getLogger("homing.rates")

KEYS_MAX = 50_000
"""Keys remembered at once, about 15 MB: what a flood of made-up logins or addresses fills."""
ALLOTMENT_MAX = 100
"""Permits taken at once: what a crash of a node, or a client that moves to another node, misses at most."""
GIVE_BACK_MAX = 500
"""Allotments given back by one statement."""
FORGET_SECONDS = 600.0
"""How often a node removes rows of which nothing counts any more, while it counts."""

LOGIN = "login"
LOGIN_ADDRESS = "login-address"
ENROLMENT = "enrolment"
REFRESH = "refresh"
REFRESH_ADDRESS = "refresh-address"
CHALLENGE = "challenge"
SYNC = "sync"

RATES: Mapping[str, Rate] = {
    # Wrong passwords for one login: a million guesses a year at most, of passwords that are not common.
    LOGIN: Rate(10, 300),
    # Wrong passwords from one address. An office behind one address mistypes more often than one person.
    LOGIN_ADDRESS: Rate(100, 300),
    # Wrong enrolment tokens from one address. Nobody guesses 128 bits; this only ends the noise, and a person who
    # copies codes from paper for a whole team stays far below it.
    ENROLMENT: Rate(300, 300),
    # Redeeming one refresh token: once is enough, and again for every answer that was lost.
    REFRESH: Rate(20, 300),
    # Wrong refresh tokens from one address.
    REFRESH_ADDRESS: Rate(100, 300),
    # Challenges for an address, each of which the server signs: an office full of phones asks for a quarter of that.
    CHALLENGE: Rate(1000, 300, loose=True),
    # The steps of sync, by device. Only a client that runs in circles comes near it: a month's backlog is a few hundred
    # requests, and one that is larger waits a minute at most and goes on.
    SYNC: Rate(3000, 60, loose=True),
}
"""What the server itself bounds. Applications declare theirs (``App.rates``); the setting ``rates`` changes both."""


@dataclass(slots=True)
class _Share:
    """What a node knows of a key. ``until``: when its permits end; ``slot``: which they belong to, None for permits
    that were not taken from the database, of which there were ``uncounted``. ``rest`` and ``frees_at``: as the database
    said last."""

    name: str
    rate: Rate
    permits: int = 0
    until: float = 0.0
    slot: int | None = None
    rest: int = 0
    frees_at: float = 0.0
    refused_until: float = 0.0
    loose_until: float = 0.0
    uncounted: int = 0

    def standing(self, now: float) -> Standing:
        left = self.permits + self.rest if now < self.until else self.rest
        return Standing(self.name, self.rate, left, max(0.0, self.frees_at - now))


@dataclass(frozen=True, slots=True)
class Taken:
    """Permits that one request took, to be given back; and how its caller stands with the tightest of their rates."""

    shares: Sequence[tuple[_Share, int | None]]
    standing: Standing | None


NOTHING = Taken((), None)
Who = tuple[str, str]
"""The name of a rate, and who is counted."""


class Rates:
    """The rates of one tenant at one node. ``rates``: None for one that is off. ``clock``: monotonic seconds."""

    def __init__(
        self,
        database: Database,
        rates: Mapping[str, Rate | None],
        *,
        secret: bytes,
        clock: Callable[[], float] = monotonic,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self.rates = rates
        self.clock = clock
        self.asked = 0
        """How often the database was asked."""
        self._database = database
        self._secret = secret[:64]
        self._keys_max = keys_max
        self._shares: OrderedDict[bytes, _Share] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[None]] = {}
        self._ending: list[tuple[float, bytes]] = []
        """A heap: when an allotment ends, for giving back what is left of it."""
        self._backs: dict[bytes, tuple[int, int]] = {}
        """Key → slot and permits to be given back."""
        self._forget_at = clock() + FORGET_SECONDS
        self._tidying: asyncio.Task[None] | None = None

    @property
    def known(self) -> int:
        """Keys in memory."""
        return len(self._shares)

    async def settle(self) -> None:
        """Wait until what is being given back is back."""
        if self._tidying is not None:
            await self._tidying

    def check(self, *who: Who) -> None:
        """Refuse who is known to be refused, without asking anybody. Raises RateLimited."""
        now = self.clock()
        for name, each in who:
            if self.rates[name] is not None:
                share = self._shares.get(self._key(name, each))
                if share is not None and now < share.refused_until:
                    raise RateLimited(share.standing(now))

    async def take(self, *who: Who) -> Taken:
        """A permit of each. Raises RateLimited, Problem("unavailable")."""
        asked = [(self._key(name, each), name, rate) for name, each in who if (rate := self.rates[name]) is not None]
        if not asked:
            return NOTHING
        while True:
            now = self.clock()
            shares = [self._share(key, name, rate, now) for key, name, rate in asked]
            for share in shares:
                if now < share.refused_until:
                    raise RateLimited(share.standing(now))
            missing = {
                key: share for (key, _, _), share in zip(asked, shares, strict=True) if not _has_permit(share, now)
            }
            if not missing:
                # Nothing is awaited between looking and taking.
                for share in shares:
                    share.permits -= 1
                tightest = min((share.standing(now) for share in shares), key=lambda standing: standing.left)
                return Taken([(share, share.slot) for share in shares], tightest)
            await self._ask(missing)

    def give_back(self, taken: Taken) -> None:
        """What was taken does not count. Of a slot that is over it counts nevertheless: it was counted for others."""
        now = self.clock()
        for share, slot in taken.shares:
            if share.slot == slot and now < share.until:
                share.permits += 1
                share.refused_until = 0.0

    async def close(self) -> None:
        """Give back everything: the clients of this node go to others."""
        for key, share in self._shares.items():
            self._give_up(key, share)
        self._shares.clear()
        await self.settle()
        await self._tidied(float("-inf"))

    def _key(self, name: str, who: str) -> bytes:
        rate = self.rates[name]
        said = f"{name}/{0 if rate is None else rate.seconds}/{who}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, key=self._secret, digest_size=16).digest()

    def _share(self, key: bytes, name: str, rate: Rate, now: float) -> _Share:
        share = self._shares.get(key)
        if share is None:
            if len(self._shares) >= self._keys_max:
                self._give_up(*self._shares.popitem(last=False))
            share = self._shares[key] = _Share(name, rate)
        else:
            self._shares.move_to_end(key)
        if rate.loose and now >= max(share.loose_until, share.refused_until) and not _has_permit(share, now):
            self._give_up(key, share)
            share.loose_until = share.until = share.frees_at = now + rate.seconds
            share.uncounted = share.permits = rate.uncounted
            share.slot, share.rest = None, rate.quota - rate.uncounted
        return share

    def _give_up(self, key: bytes, share: _Share) -> None:
        if share.permits > 0 and share.slot is not None:
            self._backs[key] = (share.slot, share.permits)
        share.permits = 0

    async def _ask(self, missing: Mapping[bytes, _Share]) -> None:
        """New allotments, one question at a time for each key: others who want one wait for it."""
        for key in missing:
            other = self._asking.get(key)
            if other is not None:
                await asyncio.wait([other])
                if other.exception() is not None:
                    raise Problem("unavailable")
                return
        task = asyncio.create_task(self._fill(missing), name="take permits")
        for key in missing:
            self._asking[key] = task
        task.add_done_callback(lambda done: self._answered(missing, done))
        # Whoever asked may be cancelled; the others wait for the same answer.
        await asyncio.shield(task)

    def _answered(self, keys: Iterable[bytes], done: asyncio.Task[None]) -> None:
        for key in keys:
            del self._asking[key]
        if not done.cancelled():
            done.exception()  # seen: perhaps nobody waits for it any more

    async def _fill(self, missing: Mapping[bytes, _Share]) -> None:
        shares = list(missing.values())
        spent = [share.uncounted - share.permits if share.uncounted else 0 for share in shares]
        backs = [0 if share.slot is None else share.permits for share in shares]
        slots = [share.slot or 0 for share in shares]
        for share in shares:
            share.permits = share.uncounted = 0
        self.asked += 1
        async with self._database.connection() as conn:
            now = self.clock()
            answers = await fetch_all(
                conn,
                load(__package__, "take_permits"),
                {
                    "keys": list(missing),
                    "quotas": [share.rate.quota for share in shares],
                    "windows": [share.rate.seconds for share in shares],
                    "spent": spent,
                    "slots": slots,
                    "backs": backs,
                    "most": ALLOTMENT_MAX,
                },
            )
        for key, share, (granted, slot, lasts, rest, wait) in zip(missing, shares, answers, strict=True):
            if granted and slot != share.slot:
                heapq.heappush(self._ending, (now + lasts, key))
            # Measured from before the question was sent: never longer than the database meant.
            share.permits, share.slot, share.until = granted, slot, now + lasts
            share.rest, share.frees_at = rest, now + wait
            # Before the slot is over, nothing that others hold comes back.
            share.refused_until = 0.0 if granted else now + min(wait, lasts)
        self._tidy(now)

    def _tidy(self, now: float) -> None:
        """Give back what is left of allotments that ended, and forget what is not needed; while nobody waits for it."""
        while self._ending and self._ending[0][0] <= now and len(self._backs) < GIVE_BACK_MAX:
            _, key = heapq.heappop(self._ending)
            share = self._shares.get(key)
            if share is not None and key not in self._asking and max(share.until, share.refused_until) <= now:
                self._give_up(key, share)
                if share.loose_until <= now:
                    del self._shares[key]
        if self._tidying is None and (self._backs or now >= self._forget_at):
            self._tidying = asyncio.create_task(self._tidied(now), name="give permits back")

    async def _tidied(self, now: float) -> None:
        try:
            await self._flush()
            if now >= self._forget_at:
                self._forget_at = now + FORGET_SECONDS
                await forget(self._database)
        except (Problem, psycopg.Error) as error:
            log.warning("unspent permits were not given back: %s", error)
        finally:
            self._tidying = None

    async def _flush(self) -> None:
        backs, self._backs = self._backs, {}
        if backs:
            async with self._database.connection() as conn:
                await execute(
                    conn,
                    load(__package__, "give_back_permits"),
                    {
                        "keys": list(backs),
                        "slots": [slot for slot, _ in backs.values()],
                        "backs": [permits for _, permits in backs.values()],
                    },
                )


def _has_permit(share: _Share, now: float) -> bool:
    return share.permits > 0 and now < share.until


async def forget(database: Database) -> int:
    """Remove rows of which nothing counts any more; how many."""
    async with database.connection() as conn:
        return await execute(conn, load(__package__, "forget_counts"))
