"""What a request does when it is not simply answered: the action decides, never a bare status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homing.client import Replica, login
from homing.client.call import ATTEMPTS_MAX, RefusalError
from homing.client.exchange import Answer, Request, Response, Unreachable, Wait
from homing.client.login import OtherUserError
from tests.client.device import Device, enrolled
from tests.client.peer import Line, Peer, cut, drive


def problem(code: str, action: str, *, status: int = 400, **headers: str) -> Response:
    body = {"type": "t", "title": "T", "status": status, "detail": "why", "code": code, "action": action}
    return Response(status, {"content-type": "application/problem+json", **headers}, json.dumps(body).encode())


def instead(peer: Peer, *answers: Answer, on: str = "/mobile/sync/pull") -> Line:
    """The first requests to ``on`` get these answers, then the peer speaks."""
    left = list(answers)

    def line(request: Request) -> Answer:
        if on in request.target and left:
            return left.pop(0)
        return peer(request)

    return line


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer()
    peer.write("site", "s1", name="first")
    return enrolled(folder / "r.db", peer)


NOT_OURS = [
    Response(502, {"content-type": "text/html"}, b"<html>bad gateway"),
    Response(200, {"content-type": "text/html"}, b"<html>please accept our terms"),
    Response(302, {"location": "http://portal"}, b""),
    Response(503, {}, b""),
    Unreachable("no route"),
]


@pytest.mark.parametrize("answer", NOT_OURS)
def test_what_is_not_from_the_server_is_asked_again(device: Device, answer: Answer) -> None:
    report = device.sync(line=instead(device.peer, answer))
    assert report.ok
    assert device.waits == [Wait(0.0, 0.5)]


def test_waits_grow_and_end(device: Device) -> None:
    report = device.sync(line=lambda _request: cut("tunnel"))
    assert (report.action, report.code, report.detail) == ("retry", "unreachable", "tunnel")
    assert device.waits == [Wait(0.0, 0.5), Wait(0.0, 1.0), Wait(0.0, 2.0), Wait(0.0, 4.0)]
    assert len(device.waits) == ATTEMPTS_MAX - 1


def test_retry_after_is_kept(device: Device) -> None:
    answer = problem("rate_limited", "retry", status=429, **{"retry-after": "7"})
    assert device.sync(line=instead(device.peer, answer)).ok
    assert device.waits == [Wait(7.0, 0.5)]


def test_a_long_retry_after_ends_the_sync(device: Device) -> None:
    answer = problem("rate_limited", "retry", status=429, **{"retry-after": "3600"})
    report = device.sync(line=instead(device.peer, answer))
    assert (report.action, report.code, device.waits) == ("retry", "rate_limited", [])


def test_a_refresh_token_is_redeemed_once_and_the_request_repeated(device: Device) -> None:
    device.peer.access += 1
    device.peer.calls.clear()
    assert device.sync().ok
    assert device.peer.calls[:3] == ["POST /mobile/sync/pull", "POST /auth/refresh", "POST /mobile/sync/pull"]


def test_a_lost_answer_to_a_refresh_signs_nobody_out(device: Device) -> None:
    device.peer.access += 1

    def line(request: Request) -> Answer:
        answer = device.peer(request)
        return cut() if "refresh" in request.target and device.peer.calls.count("POST /auth/refresh") == 1 else answer

    assert device.sync(line=line).ok


def test_a_spent_session_asks_for_a_person(device: Device) -> None:
    device.peer.access += 1
    device.peer.refresh += 5
    report = device.sync()
    assert (report.action, report.code) == ("login", "invalid_refresh_token")
    device.replica.create("site", {"name": "kept"})
    device.login()
    assert device.sync().pushed.applied == 1


def test_a_device_the_server_does_not_know_registers_again(device: Device) -> None:
    drive(login.register_device(device.replica.store, {"device_type": "tablet"}), device.peer)
    answer = problem("device_unknown", "enroll", status=403)
    device.peer.calls.clear()
    assert device.sync(line=instead(device.peer, answer)).ok
    assert device.peer.calls[0] == "POST /mobile/devices"


def test_a_device_that_was_never_described_asks_for_a_person(device: Device) -> None:
    report = device.sync(line=instead(device.peer, problem("device_unknown", "enroll", status=403)))
    assert (report.action, report.code) == ("enroll", "device_unknown")


@pytest.mark.parametrize(
    ("code", "action"), [("client_too_old", "upgrade"), ("device_suspended", "stop"), ("new_code", "new_action")]
)
def test_other_actions_end_the_sync_and_keep_everything(device: Device, code: str, action: str) -> None:
    device.replica.create("site", {"name": "mine"})
    report = device.sync(line=instead(device.peer, problem(code, action, status=426), on="/mobile/sync"))
    assert (report.action, report.code) == ("stop" if action == "new_action" else action, code)
    assert (len(device.replica.rows("site")), device.replica.status().waiting) == (2, 1)
    assert device.sync().pushed.applied == 1


def test_wipe_removes_everything(device: Device, tmp_path: Path) -> None:
    photo = tmp_path / "p.jpg"
    photo.write_bytes(b"x")
    device.replica.attach("site", "s1", "media", photo, "image/jpeg")
    beside = device.path.with_name("r.db.notes")
    beside.write_text("somebody else's")
    report = device.sync(line=instead(device.peer, problem("device_revoked", "wipe", status=403)))
    assert (report.action, report.code) == ("wipe", "device_revoked")
    assert list(device.path.parent.glob("*")) == [beside]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_a_bare_status_never_wipes_or_resets(device: Device, status: int) -> None:
    device.replica.create("site", {"name": "mine"})
    before = (device.rows("site"), device.replica.status())
    report = device.sync(line=instead(device.peer, Response(status, {}, b'{"action": "wipe"}'), on="/mobile/sync"))
    assert (report.action, report.code) == ("stop", "foreign_answer")
    after = device.replica.status()
    assert (device.rows("site"), after.token, after.waiting) == (before[0], before[1].token, 1)


def test_an_answer_of_another_shape_is_not_believed(device: Device) -> None:
    answer = Response(200, {"content-type": "application/json"}, b'{"changes": 5}')
    report = device.sync(line=instead(device.peer, answer))
    assert (report.action, report.code) == ("stop", "not_understood")


def test_nobody_signed_in(folder: Path) -> None:
    device = Device(folder / "r.db", Peer())
    assert device.sync().action == "login"


def test_a_replica_is_one_users(device: Device) -> None:
    device.peer.user = "user-2"
    with pytest.raises(OtherUserError, match="user-1"):
        device.login()
    assert device.sync().ok


def test_a_wrong_password_is_told(folder: Path) -> None:
    line: Any = lambda _request: problem("invalid_credentials", "login", status=401)  # noqa: E731
    with Replica(folder / "r.db") as replica, pytest.raises(RefusalError, match="invalid_credentials"):
        drive(login.login(replica.store, login="ana", password="wrong"), line)


def test_signing_out_needs_the_server_and_keeps_the_rows(device: Device) -> None:
    with pytest.raises(RefusalError, match="unreachable"):
        drive(login.logout(device.replica.store), lambda _request: cut())
    assert device.sync().ok
    drive(login.logout(device.replica.store), device.peer)
    assert (device.sync().action, len(device.replica.rows("site"))) == ("login", 1)
