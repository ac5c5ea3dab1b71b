"""Push: which edits travel together, what a lost answer does, and that one bad edit costs itself only."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.client.choice import Candidate, choose
from homing.client.exchange import Answer, Request
from homing.protocol.limits import Limits
from tests.client.device import Device, enrolled
from tests.client.peer import Peer, cut


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer()
    for number in range(3):
        peer.write("site", f"s{number}", name="first", count=0)
    return enrolled(folder / "r.db", peer)


def body(request: Request) -> dict[str, Any]:
    assert isinstance(request.body, bytes)
    data = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
    decoded: dict[str, Any] = json.loads(data)
    return decoded


class Watched:
    """Passes everything on, and keeps what was pushed. ``lose``: how many answers to pushes are lost."""

    def __init__(self, peer: Peer, *, lose: int = 0) -> None:
        self.peer, self.lose = peer, lose
        self.pushed: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Answer:
        answer = self.peer(request)
        if request.target.endswith("/sync/push"):
            self.pushed.append(body(request))
            if len(self.pushed) <= self.lose:
                return cut()
        return answer

    @property
    def sizes(self) -> list[int]:
        return [len(push["items"]) for push in self.pushed]


def outbox(device: Device) -> list[tuple[str, str, str | None]]:
    return [
        (row["action"], row["status"], row["code"])
        for row in device.replica.query("SELECT action, status, code FROM _outbox ORDER BY seq")
    ]


# What travels.


def test_only_what_changed_is_sent_with_the_version_it_was_based_on(device: Device) -> None:
    device.peer.write("site", "s1", note="second version")
    device.sync()
    device.replica.update("site", "s1", name="first", count=7, note="second version")
    assert device.replica.update("site", "s1", count=7) is None
    line = Watched(device.peer)
    device.sync(line=line)
    ((item,),) = (push["items"] for push in line.pushed)
    assert {name: item[name] for name in ("action", "payload", "client_version")} == {
        "action": "update",
        "payload": {"id": "s1", "count": 7},
        "client_version": 2,
    }


def test_an_unsent_chain_goes_on_from_the_answer(device: Device) -> None:
    device.replica.update("site", "s1", count=1)
    device.replica.update("site", "s1", count=2)
    line = Watched(device.peer)
    device.sync(line=line)
    device.replica.update("site", "s1", count=3)

    class Editing(Watched):
        def __call__(self, request: Request) -> Answer:
            if request.target.endswith("/sync/push"):
                device.replica.update("site", "s1", count=4)  # while the batch is on its way
            return super().__call__(request)

    second = Editing(device.peer)
    device.sync(line=second)
    sent = [[item["client_version"] for item in push["items"]] for push in (*line.pushed, *second.pushed)]
    assert sent == [[1, 1], [3], [4]]
    assert device.replica.get("site", "s1") == device.peer.visible()["site", "s1"]


def test_an_edit_made_without_seeing_somebody_elses_keeps_its_base(device: Device) -> None:
    device.peer.write("site", "s1", note="office")

    class Editing(Watched):
        def __call__(self, request: Request) -> Answer:
            if request.target.endswith("/sync/push") and not self.pushed:
                device.replica.update("site", "s1", note="mine")
            return super().__call__(request)

    device.replica.update("site", "s1", count=1)
    line = Editing(device.peer)
    report = device.sync(line=line)
    assert [[item["client_version"] for item in push["items"]] for push in line.pushed] == [[1], [1]]
    assert (report.pushed.merged, report.pushed.conflicts) == (1, 1)
    assert device.peer.visible()["site", "s1"]["note"] == "office"


def test_a_backlog_travels_in_batches_of_the_advised_size(device: Device) -> None:
    for number in range(120):
        device.replica.update("site", "s1", count=number + 1)
    line = Watched(device.peer)
    assert device.sync(line=line).pushed.applied == 120
    assert line.sizes == [50, 50, 20]


def test_large_items_travel_in_smaller_batches(device: Device) -> None:
    for number in range(4):
        device.replica.create("site", {"name": f"n{number}", "note": "x" * 600_000})
    line = Watched(device.peer)
    device.sync(line=line)
    assert line.sizes == [1, 1, 1, 1]


# Lost answers.


@pytest.mark.parametrize("lose", [1, 3, 5, 7])
def test_a_lost_answer_is_asked_for_with_the_same_items(device: Device, lose: int) -> None:
    tmp = device.replica.create("site", {"name": "mine"})
    device.replica.create("visit", {"site_id": tmp})
    line = Watched(device.peer, lose=lose)
    device.sync(line=line)
    device.reopen()
    device.sync(line=line)
    assert len(line.pushed) == lose + 1
    assert len({json.dumps([push["batch_token"], push["items"]]) for push in line.pushed}) == 1
    assert set(device.peer.effects.values()) == {1}
    assert device.everything() == device.peer.visible()


def test_edits_made_while_an_answer_is_lost_join_no_sent_batch(device: Device) -> None:
    tmp = device.replica.create("site", {"name": "mine"})
    line = Watched(device.peer, lose=5)
    device.sync(line=line)
    device.replica.update("site", tmp, name="better")
    device.sync(line=line)
    assert [[item["action"] for item in push["items"]] for push in line.pushed[-2:]] == [["create"], ["update"]]
    assert device.everything() == device.peer.visible()


def test_a_sent_item_stays_what_it_was_when_its_batch_is_taken_apart(device: Device) -> None:
    """The parent's answer makes its real id known; the child's key must still come with the body that was sent."""
    tmp = device.replica.create("site", {"name": "parent"})
    device.replica.create("visit", {"site_id": tmp})
    device.sync(line=Watched(device.peer, lose=5))
    device.peer.limits = Limits(batch_items_max=1)
    line = Watched(device.peer)
    report = device.sync(line=line)
    assert (line.sizes, report.pushed.applied, report.pushed.refused) == ([2, 1, 1], 2, 0)
    assert line.pushed[2]["items"][0]["payload"]["site_id"] == tmp
    assert set(device.peer.effects.values()) == {1}
    assert device.everything() == device.peer.visible()


# Refusals.


def test_a_refused_item_costs_itself_only(device: Device) -> None:
    device.peer.refuse["bad"] = "check_failed"
    for name in ("a", "bad", "c"):
        device.replica.create("site", {"name": name})
    report = device.sync()
    assert (report.pushed.applied, report.pushed.refused) == (2, 1)
    assert sorted(row["name"] for row in device.replica.rows("site")) == ["a", "c", "first", "first", "first"]
    (refused,) = device.replica.refused()
    assert (refused.code, refused.payload, refused.error) == (
        "check_failed", {"name": "bad"}, "A rule of the application refused it",
    )  # fmt: skip


@pytest.mark.parametrize("place", range(5))
def test_an_item_that_spoils_its_batch_is_found_and_refused_alone(device: Device, place: int) -> None:
    for number in range(5):
        device.replica.create("site", {"name": "poison" if number == place else f"n{number}"})
    report = device.sync()
    assert (report.ok, report.pushed.applied, report.pushed.refused) == (True, 4, 1)
    (refused,) = device.replica.refused()
    assert (refused.code, refused.payload) == ("too_deep", {"name": "poison"})


def test_a_server_that_fails_on_a_batch_is_given_three_chances(device: Device) -> None:
    device.replica.create("site", {"name": "a"})
    device.replica.create("site", {"name": "b"})
    device.peer.answer_with = "internal"
    for _ in range(2):
        assert device.sync().code == "internal"
    assert [status for _, status, _ in outbox(device)] == ["in_flight", "in_flight"]
    device.sync()
    device.peer.answer_with = None
    assert device.sync().pushed.applied == 2


def test_more_than_the_server_takes_is_sent_in_parts(folder: Path) -> None:
    device = enrolled(folder / "r.db", Peer(limits=Limits(batch_items_max=7)))
    for number in range(20):
        device.replica.create("site", {"name": f"n{number}"})
    line = Watched(device.peer)
    assert device.sync(line=line).pushed.applied == 20
    assert max(size for size in line.sizes if size <= 7) <= 7
    assert set(device.peer.effects.values()) == {1}


def test_a_held_batch_is_asked_for_once_a_sync_and_others_pass_it(device: Device) -> None:
    device.peer.held.add("everything")
    device.replica.update("site", "s1", count=1)
    report = device.sync()
    assert (report.ok, report.pushed.held) == (True, 1)
    assert device.replica.get("site", "s1")["count"] == 1  # type: ignore[index]
    device.replica.update("site", "s1", count=2)
    device.replica.update("site", "s2", count=2)
    device.peer.held.clear()
    device.peer.held.add(device.replica.query("SELECT batch_token FROM _batches")[0]["batch_token"])
    line = Watched(device.peer)
    device.sync(line=line)
    assert line.sizes == [1, 1]
    device.peer.held.clear()
    assert device.sync().ok
    assert device.sync().ok
    assert device.everything() == device.peer.visible()
    assert device.replica.status().waiting == 0


def test_what_needs_a_refused_create_waits_for_it(device: Device) -> None:
    device.peer.refuse["bad"] = "check_failed"
    parent = device.replica.create("site", {"name": "bad"})
    child = device.replica.create("visit", {"site_id": parent, "text": "child"})
    device.replica.create("visit", {"previous_id": child, "text": "grandchild"})
    device.replica.create("visit", {"text": "stranger"})
    report = device.sync()
    assert (report.pushed.applied, report.pushed.refused, device.replica.status().waiting) == (1, 1, 2)
    assert device.sync().pushed.sent == 0
    assert device.replica.retry(parent, {"name": "good"}) == parent
    assert device.sync().pushed.applied == 3
    assert device.everything() == device.peer.visible()


def test_discarding_a_create_shows_what_referred_to_it(device: Device) -> None:
    device.peer.refuse["bad"] = "check_failed"
    parent = device.replica.create("site", {"name": "bad"})
    edit = device.replica.update("site", parent, count=1)
    child = device.replica.create("visit", {"site_id": parent})
    device.sync()
    assert device.replica.discard(parent) == [parent, edit]
    (refused,) = device.replica.refused()
    assert (refused.op, refused.code) == (child, "dependency_failed")
    assert device.rows("visit") == {}


def test_a_create_whose_verdict_binds_is_retried_under_another_name(device: Device) -> None:
    device.peer.write("site", "taken", name="theirs")
    parent = device.replica.create("site", {"id": "taken", "name": "mine"})
    assert parent == "taken"
    assert device.sync().pushed.conflicts == 1
    (conflict,) = device.replica.conflicts()
    assert conflict.code == "exists"
    again = device.replica.retry(conflict.op)
    assert again != conflict.op
    assert device.sync().pushed.conflicts == 1
    assert device.replica.discard(again) == [again]
    assert device.rows("site")["taken"]["name"] == "theirs"


def test_all_or_nothing(device: Device) -> None:
    device.peer.refuse["bad"] = "check_failed"
    with device.replica.together():
        device.replica.update("site", "s1", count=1)
        device.replica.update("site", "s2", name="bad")
    with device.replica.together():
        device.replica.update("site", "s0", count=1)
        device.replica.create("visit", {"site_id": "s0"})
    device.replica.update("site", "s0", count=2)
    line = Watched(device.peer)
    device.sync(line=line)
    assert [(push["atomic"], len(push["items"])) for push in line.pushed] == [(True, 2), (True, 2), (False, 1)]
    assert [code for _, _, code in outbox(device)] == ["group_aborted", "check_failed", None, None, None]
    assert device.everything() == device.peer.visible()


def test_a_group_that_fails_here_leaves_nothing(device: Device) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"), device.replica.together():
        device.replica.update("site", "s1", count=1)
        raise RuntimeError("changed my mind")
    assert outbox(device) == []
    assert device.replica.check() == []


# What the row shows meanwhile.


def test_nothing_flickers_while_an_edit_travels(device: Device) -> None:
    shown = []

    def line(request: Request) -> Answer:
        shown.append(device.replica.get("site", "s1")["count"])  # type: ignore[index]
        answer = device.peer(request)
        shown.append(device.replica.get("site", "s1")["count"])  # type: ignore[index]
        return answer

    device.replica.update("site", "s1", count=1)
    device.sync(line=line)
    shown.append(device.replica.rows("site", "id = 's1'")[0]["count"])
    assert set(shown) == {1}
    assert len(shown) > 4


def test_an_applied_edit_stays_while_a_lagging_copy_answers_pulls(device: Device) -> None:
    device.replica.update("site", "s1", count=1)
    behind = Peer()
    behind.restore(device.peer)
    behind.epoch = 1

    def line(request: Request) -> Answer:
        return behind(request) if request.target.endswith("/pull") else device.peer(request)

    device.sync(line=line)
    assert device.replica.get("site", "s1")["count"] == 1  # type: ignore[index]
    assert device.sync().ok
    assert device.everything() == device.peer.visible()
    assert [status for _, status, _ in outbox(device)] == ["settled"]


# The choice itself.

Specs = st.lists(
    st.tuples(
        st.integers(0, 3),  # row
        st.booleans(),  # makes it
        st.sets(st.integers(0, 3), max_size=2),  # rows it needs
        st.sampled_from(["free", "free", "free", "waits", "unanswered"]),
        st.sampled_from([None, None, "g"]),  # edits made together follow each other
    ),
    max_size=12,
)


def candidates(specs: Any) -> list[Candidate]:
    made = set()
    found: list[Candidate] = []
    runs = 0
    for number, (row, makes, needs, state, together) in enumerate(specs):
        runs += together is None
        creates = makes and row not in made
        if creates:
            made.add(row)
        found.append(
            Candidate(
                op=f"op{number}",
                row=("t", str(row)),
                makes=f"tmp{row}" if creates else None,
                unmet=frozenset(f"tmp{need}" for need in needs if need in made and not (creates and need == row)),
                waits=state == "waits",
                unanswered=state == "unanswered",
                together=None if together is None else f"g{runs}",
            )
        )
    return found


@given(Specs, st.integers(1, 5))
def test_every_batch_can_be_applied_in_order(specs: Any, size: int) -> None:
    left = candidates(specs)
    sent: list[Candidate] = []

    def group(name: str) -> list[Candidate]:
        return [candidate for candidate in left if candidate.together == name]

    while ops := choose(left, size=size, group=group):
        batch = [next(c for c in left if c.op == op) for op in ops]
        made: set[str] = set()
        for candidate in batch:
            assert not candidate.waits
            assert not candidate.unanswered
            assert candidate.unmet <= made, "it names a row that is not made before it"
            made |= {candidate.makes} - {None}  # type: ignore[arg-type]
            earlier = [c for c in left[: left.index(candidate)] if c.row == candidate.row and c not in batch]
            assert earlier == [], "it overtakes an edit of its row"
        groups = {c.together for c in batch}
        assert len(groups) == 1
        assert len(batch) <= size or groups != {None}
        sent += batch
        left = [
            Candidate(c.op, c.row, c.makes, c.unmet - made, c.waits, c.unanswered, c.together)
            for c in left
            if c.op not in ops
        ]
    stuck_rows: set[tuple[str, str]] = set()
    for candidate in left:
        free = not candidate.waits and not candidate.unanswered and not candidate.unmet
        assert not free or candidate.row in stuck_rows or candidate.together is not None, "it could have been sent"
        stuck_rows.add(candidate.row)


def test_an_unsent_edit_of_a_damaged_entry_is_refused_not_sent(device: Device) -> None:
    device.replica.update("site", "s1", count=1)
    device.replica.update("site", "s2", count=2)
    connection = device.replica.store.connection
    connection.execute("UPDATE _outbox SET entry = replace(entry, '\"count\":1', '\"count\":9') WHERE row_id = 's1'")
    line = Watched(device.peer)
    device.sync(line=line)
    assert [[item["payload"] for item in push["items"]] for push in line.pushed] == [[{"id": "s2", "count": 2}]]
    (refused,) = device.replica.refused()
    assert refused.code == "damaged"
