"""``homing collect``: remove what no device can need any more."""

from __future__ import annotations

from homing.cli._shell import HERE, Json, Where, run, show
from homing.server.daily import daily_round


def command(where: Where = HERE, *, json: Json = False) -> None:
    """One daily round by hand: old departures, history, telemetry, orphaned uploads and enrolment tokens go; partitions
    are made ahead.

    A running server does it once a day by itself.
    """
    show(run(daily_round, where), as_json=json)
