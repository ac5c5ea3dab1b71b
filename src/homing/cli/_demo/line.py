"""A line as islands have it: none for days, and when there is one, it loses things.

A request may be lost on its way to the server (nothing happened there) or the answer on its way back (everything did).
The second is the one that matters: whoever sends again must not do it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import httpx

REQUESTS_LOST = 0.12
ANSWERS_LOST = 0.12


@dataclass(slots=True)
class Losses:
    """What was lost on one device's line."""

    requests: int = 0
    answers: int = 0


class LossyLine(httpx.BaseTransport):
    """Loses by ``rng``, so that a season can be played again. ``good`` for a line that loses nothing."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._inner = httpx.HTTPTransport()
        self.good = False
        self.losses = Losses()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.good and self._rng.random() < REQUESTS_LOST:
            self.losses.requests += 1
            raise httpx.ConnectTimeout("the request was lost", request=request)
        response = self._inner.handle_request(request)
        if not self.good and self._rng.random() < ANSWERS_LOST:
            response.read()
            response.close()
            self.losses.answers += 1
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return response

    def close(self) -> None:
        self._inner.close()
