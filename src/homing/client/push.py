"""Push: send the outbox, batch by batch, and store what the server says of each item.

First the batches that were sent before and whose answer never came, exactly as they were: the server has done them or
not, and either way its answer is the right one. A batch that is refused as a whole is sent in halves until the one item
that spoils it stands alone, and is refused by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import msgspec

from homing.client import batches
from homing.client.batches import Batch
from homing.client.call import RefusalError, call, decode, post
from homing.client.exchange import Flow, Progress
from homing.client.results import Outcome, PushAnswer, conclude
from homing.client.store import Store
from homing.protocol.errors import Action

SPOILED = {400, 409, 413, 422}
"""Statuses of a batch that was refused because of what is in it, with nothing done."""
FAILURES_MAX = 3
"""Times the server may fail on a batch before the batch is suspected, and sent in halves."""


@dataclass(slots=True)
class Pushed:
    """What became of the items sent. ``asked``: batches asked for in this sync, held ones are asked for once."""

    sent: int = 0
    applied: int = 0
    merged: int = 0
    conflicts: int = 0
    refused: int = 0
    held: int = 0
    asked: set[str] = field(default_factory=set)

    def count(self, outcome: Outcome) -> None:
        match outcome:
            case Outcome.APPLIED:
                self.applied += 1
            case Outcome.MERGED:
                self.applied += 1
                self.merged += 1
            case Outcome.CONFLICT:
                self.conflicts += 1
            case Outcome.REFUSED:
                self.refused += 1
            case Outcome.HELD:
                self.held += 1
            case Outcome.AGAIN | Outcome.STALE:
                pass


class Sent(Enum):
    DONE = "done"
    SPLIT = "split"
    STALE = "stale"


def push(store: Store, pushed: Pushed) -> Flow[bool]:
    """Send everything that can be sent. False: the server was set back, pull from the start before going on."""
    advised = size = max(1, store.limits().batch_items_advised)
    for batch in batches.unanswered(store):
        if batch.batch_token in pushed.asked:
            continue
        match (yield from _send(store, batch, pushed)):
            case Sent.STALE:
                return False
            case Sent.SPLIT:
                size = min(size, max(1, len(batch.ops) // 2))
            case Sent.DONE:
                pass
    until = batches.last_entry(store)
    while (fresh := batches.start(store, size=size, until=until)) is not None:
        match (yield from _send(store, fresh, pushed)):
            case Sent.DONE:
                size = min(advised, size * 2)
            case Sent.SPLIT:
                size = max(1, len(fresh.ops) // 2)
            case Sent.STALE:
                return False
    return True


def _send(store: Store, batch: Batch, pushed: Pushed) -> Flow[Sent]:
    yield Progress("push", pushed.sent, pushed.sent + batches.waiting(store))
    pushed.asked.add(batch.batch_token)
    request = post("/mobile/sync/push", _envelope(store, batch))
    try:
        response = yield from call(store, request)
    except RefusalError as refusal:
        if refusal.action is Action.RESYNC:
            batches.dissolve(store, batch)
            return Sent.STALE
        return _refused_whole(store, batch, pushed, refusal)
    answer: PushAnswer = decode(response, PushAnswer, request)
    if [result.index for result in answer.results] != list(range(len(batch.ops))):
        raise RefusalError(
            Action.STOP, "not_understood", "The answer to a push must have one result an item, in order."
        )
    outcomes = conclude(store, batch, answer.results)
    pushed.sent += len(outcomes)
    for outcome in outcomes:
        pushed.count(outcome)
    return Sent.STALE if Outcome.STALE in outcomes else Sent.DONE


def _refused_whole(store: Store, batch: Batch, pushed: Pushed, refusal: RefusalError) -> Sent:
    suspect = refusal.code == "internal" and batches.count_try(store, batch) >= FAILURES_MAX
    if refusal.status not in SPOILED and not suspect:
        raise refusal
    if len(batch.ops) > 1 and not batch.atomic:
        batches.dissolve(store, batch)
        return Sent.SPLIT
    count = batches.refuse(store, batch, code=refusal.code, error=refusal.detail)
    pushed.sent += count
    pushed.refused += count
    return Sent.DONE


def _envelope(store: Store, batch: Batch) -> bytes:
    """The request. Only ``client_time`` and ``pending`` differ between attempts: they are about the device, now."""
    return msgspec.json.encode(
        {
            "device_id": store.state().device_id,
            "batch_token": batch.batch_token,
            "client_sync_token": batch.client_sync_token,
            "client_time": store.now(),
            "pending": batches.waiting(store),
            "atomic": batch.atomic,
            "items": msgspec.Raw(batch.items.encode()),
        }
    )
