"""Verify: compare digests with the server, and pull again only what differs."""

from __future__ import annotations

from homing.client import integrity, pages
from homing.client.call import call, decode, post
from homing.client.exchange import Flow, Progress
from homing.client.pull import Pulled, pull
from homing.client.store import Store
from homing.protocol.messages import VerifyAnswer

QUESTIONS_MAX = 4
"""Times the digests are compared: rows may change between a pull and the question, and a repair asks once more."""


def verify(store: Store, pulled: Pulled) -> Flow[tuple[bool, list[str]]]:
    """Whether the replica equals the server, after repair if need be; and the tables that were repaired."""
    repaired: list[str] = []
    for _ in range(QUESTIONS_MAX):
        yield Progress("verify", 0)
        token, digests = integrity.digests(store)
        request = post("/mobile/sync/verify", {"token": token, "digests": digests})
        answer: VerifyAnswer = decode((yield from call(store, request)), VerifyAnswer, request)
        if answer.equal:
            return True, repaired
        if answer.current:
            again = [name for name in answer.differ if name not in repaired]
            if not again:
                break  # the repaired tables differ again: this is not damage here
            pages.begin_repair(store, again)
            repaired += again
        yield from pull(store, pulled)
    return False, repaired
