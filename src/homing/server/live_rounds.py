"""The rounds of a while back: who comes again after a short cut goes on by them, without a pull."""

from __future__ import annotations

from collections import deque

from homing.engine.live import Round
from homing.protocol.token import Snapshot

ROUNDS_KEPT = 64
ROUNDS_KEPT_ROWS = 10_000
"""Rounds, and rows of rounds, that are kept."""


class Rounds:
    """One after the other, without a gap, up to ``latest``."""

    def __init__(self) -> None:
        self.latest: Round | None = None
        self._kept: deque[Round] = deque()
        self._rows = 0

    def begin(self, latest: Round | None) -> None:
        """Forget all of them, and go on from ``latest``; None: the next begins."""
        self.latest = latest
        self._kept.clear()
        self._rows = 0

    def follow(self, found: Round) -> None:
        """The next one."""
        last = self._kept[-1] if self._kept else None
        self.latest = found
        if last is not None and not (_size(found) or _size(last)):
            # Two rounds without news are one.
            self._kept[-1] = Round(last.before, found.snapshot, found.epoch, found.at)
            return
        self._kept.append(found)
        self._rows += _size(found)
        while len(self._kept) > ROUNDS_KEPT or self._rows > ROUNDS_KEPT_ROWS:
            self._rows -= _size(self._kept.popleft())

    def after(self, at: Snapshot) -> list[Round] | None:
        """Those that lead from ``at`` to the latest; None: there is no such way."""
        if self.latest is None:
            return None
        if at.covers(self.latest.snapshot):
            return []
        found: list[Round] = []
        for each in reversed(self._kept):
            assert each.before is not None
            found.append(each)
            if at.covers(each.before):
                return found[::-1]
        return None


def _size(found: Round) -> int:
    return len(found.rows) + len(found.departures)
