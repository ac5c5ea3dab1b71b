"""Files: copied at once, uploaded when there is a line, named in an item only once they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homing.client.exchange import Answer, FilePart, Request, Response
from homing.client.media import RESUMABLE_BYTES_MIN
from tests.client.device import Device, enrolled
from tests.client.peer import Peer, cut


@pytest.fixture
def device(folder: Path) -> Device:
    peer = Peer()
    peer.write("site", "s1", name="first", data={})
    return enrolled(folder / "r.db", peer)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(os.urandom(50_000))
    return path


def statuses(device: Device) -> list[tuple[str, str]]:
    return [(attachment.filename, attachment.status) for attachment in device.replica.attachments()]


def test_a_file_travels_with_the_edit_it_was_attached_to(device: Device, photo: Path) -> None:
    tmp = device.replica.create("site", {"name": "mine"})
    device.replica.attach("site", tmp, "media", photo, "image/jpeg", gps={"lat": 1, "lon": 2})
    photo.unlink()  # the camera's copy may go at once
    report = device.sync()
    assert (report.pushed.applied, report.uploaded, statuses(device)) == (1, 1, [("photo.jpg", "sent")])
    assert device.rows("site")[device.replica.resolve(tmp)]["data"] == {"files": ["photo.jpg"]}
    (attachment,) = device.replica.attachments()
    assert attachment.row_id == device.replica.resolve(tmp)
    assert attachment.path.stat().st_size == 50_000


def test_other_edits_do_not_wait_for_a_slow_file(device: Device, photo: Path) -> None:
    tmp = device.replica.create("site", {"name": "with a photo"})
    device.replica.attach("site", tmp, "media", photo, "image/jpeg")
    device.replica.create("visit", {"site_id": tmp})
    device.replica.update("site", "s1", name="small")
    report = device.sync(line=lambda request: cut() if "store" in request.target else device.peer(request))
    assert (report.code, report.pushed.applied) == ("unreachable", 1)
    assert device.peer.visible()["site", "s1"]["name"] == "small"
    assert device.replica.status().waiting == 2
    assert device.sync().pushed.applied == 2
    assert device.everything() == device.peer.visible()


def test_a_file_for_a_row_that_is_there_brings_an_update_of_its_own(device: Device, photo: Path) -> None:
    device.replica.attach("site", "s1", "media", photo, "image/jpeg", filename="front.jpg")
    device.replica.attach("site", "s1", "media", photo, "image/jpeg", filename="back.jpg")
    assert device.sync().pushed.applied == 1
    assert sorted(device.rows("site")["s1"]["data"]["files"]) == ["back.jpg", "front.jpg"]


def test_a_cut_upload_goes_on_where_it_stopped(device: Device, tmp_path: Path) -> None:
    movie = tmp_path / "movie.mp4"
    movie.write_bytes(os.urandom(RESUMABLE_BYTES_MIN * 3))
    device.replica.attach("site", "s1", "media", movie, "video/mp4")
    sent = []

    def line(request: Request) -> Answer:
        if isinstance(request.body, FilePart):
            sent.append((request.method, request.body.offset))
            if len(sent) == 1:
                upload = device.peer.uploads["key-1"]
                upload.data = movie.read_bytes()[: RESUMABLE_BYTES_MIN + 7]
                return cut()
            if len(sent) == 2:
                return cut()
        return device.peer(request)

    assert device.sync(line=line).pushed.applied == 1
    assert sent == [("PUT", 0), ("PATCH", RESUMABLE_BYTES_MIN + 7), ("PATCH", RESUMABLE_BYTES_MIN + 7)]
    assert device.peer.uploads["key-1"].complete


@pytest.mark.parametrize("cut_at", ["presign", "store", "push"])
def test_a_kill_between_any_two_steps_uploads_no_more_than_twice(device: Device, photo: Path, cut_at: str) -> None:
    device.replica.attach("site", "s1", "media", photo, "image/jpeg")
    lost = []

    def line(request: Request) -> Answer:
        answer = device.peer(request)
        if cut_at in request.target and not lost:
            lost.append(request.target)
            raise KeyboardInterrupt  # the process dies before the answer is stored
        return answer

    with pytest.raises(KeyboardInterrupt):
        device.sync(line=line)
    device.reopen()
    assert device.sync().ok
    assert device.rows("site")["s1"]["data"] == {"files": ["photo.jpg"]}
    assert sum(upload.complete for upload in device.peer.uploads.values()) == 1
    assert set(device.peer.effects.values()) == {1}


def test_an_expired_address_is_asked_for_again(device: Device, photo: Path) -> None:
    device.replica.attach("site", "s1", "media", photo, "image/jpeg")
    refused = []

    def line(request: Request) -> Answer:
        if isinstance(request.body, FilePart) and not refused:
            refused.append(request)
            return Response(403, {"content-type": "application/xml"}, b"<Code>Expired</Code>")
        return device.peer(request)

    assert device.sync(line=line).pushed.applied == 1
    assert device.peer.calls.count("POST /mobile/media/presign") == 2
    assert len(device.peer.uploads) == 1


def test_a_file_the_server_no_longer_has_is_uploaded_anew(device: Device, photo: Path) -> None:
    device.replica.attach("site", "s1", "media", photo, "image/jpeg")

    def line(request: Request) -> Answer:
        if request.target.endswith("/push"):
            device.peer.uploads.pop("key-1", None)  # a sweep took it for an orphan
        return device.peer(request)

    report = device.sync(line=line)
    assert (report.ok, report.uploaded, list(device.peer.uploads)) == (True, 2, ["key-2"])
    assert device.rows("site")["s1"]["data"] == {"files": ["photo.jpg"]}


def test_a_file_that_can_never_be_uploaded_refuses_its_edit_only(device: Device, tmp_path: Path) -> None:
    program = tmp_path / "virus.exe"
    program.write_bytes(b"MZ")
    device.replica.attach("site", "s1", "media", program, "application/x-msdownload")
    device.replica.create("site", {"name": "innocent"})
    report = device.sync()
    assert (report.ok, report.pushed.applied, statuses(device)) == (True, 1, [("virus.exe", "failed")])
    (refused,) = device.replica.refused()
    assert (refused.code, refused.error) == ("too_large", "virus.exe: no programs")
    device.replica.discard(refused.op)
    assert statuses(device) == []
    assert device.sync().ok


def test_copies_without_a_row_are_swept_later(device: Device) -> None:
    files = device.replica.store.folder
    files.mkdir()
    (files / "half").write_bytes(b"left by a kill")
    device.reopen()
    assert (files / "half").exists()
    os.utime(files / "half", (0, 0))
    device.reopen()
    assert not (files / "half").exists()


def test_a_file_cannot_be_attached_to_nothing(device: Device, photo: Path) -> None:
    with pytest.raises(ValueError, match="there is no site absent"):
        device.replica.attach("site", "absent", "media", photo, "image/jpeg")
    assert not device.replica.store.folder.exists()
