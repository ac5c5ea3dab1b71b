"""Pull: bring the replica to an instant of the server, page by page; then ack it.

Pages grow while the line holds: a page is the unit of progress, and a cut costs at most one.
"""

from __future__ import annotations

from dataclasses import dataclass

from homing.client import batches, pages, schema
from homing.client.call import RefusalError, call, decode, post
from homing.client.exchange import Flow, Progress
from homing.client.pages import Page
from homing.client.store import Store
from homing.protocol.errors import Action

PAGE_CHANGES_FIRST = 500
"""Changes asked for on the first page; each further page asks for twice as many, up to the server's limit."""
RESYNCS_MAX = 2
"""Times a sync may be told to start from nothing before something must be wrong."""
TOO_OLD = "too_old"
"""The reason of a resync where the server has lost nothing: the replica was merely away for long."""


@dataclass(slots=True)
class Pulled:
    rows: int = 0
    removed: int = 0
    pages: int = 0
    resyncs: int = 0


def pull(store: Store, pulled: Pulled) -> Flow[None]:
    """Pull until the replica equals the server at one instant. Raises RefusalError."""
    limits = store.limits()
    limit = min(PAGE_CHANGES_FIRST, limits.page_changes_max)
    refetched = False
    while True:
        place = pages.place(store)
        yield Progress("pull", pulled.rows + pulled.removed)
        body = {"since_token": place.token, "limit": limit, "tables": place.tables}
        request = post("/mobile/sync/pull", {name: value for name, value in body.items() if name != "tables" or value})
        try:
            response = yield from call(store, request)
        except RefusalError as refusal:
            if refusal.action is not Action.RESYNC or pulled.resyncs >= RESYNCS_MAX:
                raise
            resync(store, pulled, server_lost=refusal.extra.get("reason") != TOO_OLD)
            continue
        page: Page = decode(response, Page, request)
        if page.has_more and page.next_token == place.token:
            raise RefusalError(Action.STOP, "not_understood", "A page with more to come must have another token.")
        applied = pages.apply(store, place, page)
        pulled.pages += 1
        pulled.rows += applied.upserts
        pulled.removed += applied.removals
        if not refetched and _unknown(store, page):
            refetched = True
            yield from schema.fetch(store)
        if applied.finished:
            return
        limit = min(limit * 2, limits.page_changes_max)


def resync(store: Store, pulled: Pulled, *, server_lost: bool) -> None:
    """Start from nothing, with the outbox kept."""
    pulled.resyncs += 1
    pages.begin_resync(store, offer_again=server_lost)


def ack(store: Store) -> Flow[None]:
    """Tell the server what is stored here for good."""
    state = store.state()
    if state.token is None or state.token == state.acked_token:
        return
    yield Progress("ack", 0)
    yield from call(store, post("/mobile/sync/ack", {"ack_token": state.token, "pending": batches.waiting(store)}))
    store.set_state(acked_token=state.token)


def _unknown(store: Store, page: Page) -> bool:
    """Whether the page has tables or columns that the schema here does not name. One row a table tells."""
    tables = store.tables()
    first = {change.resource_type: change for change in reversed(page.changes) if change.action != "delete"}
    return any(
        resource_type not in tables or tables[resource_type].unknown(change.payload)
        for resource_type, change in first.items()
    )
