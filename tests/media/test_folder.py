"""A folder among faults: power, disk, a process that dies."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homing.media.folder import Folder
from homing.media.promise import Found, Promise
from homing.media.store import Progress, new_key
from homing.protocol.errors import Problem

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANYTHING = Promise("a.bin", "application/octet-stream", None, None, 2**25)

UPLOADER = """
import asyncio, sys
from pathlib import Path
from homing.media.folder import Folder

async def main():
    part = await Folder(Path(sys.argv[1]), bytes_max=2**30).begin(sys.argv[2])
    while True:
        await part.write(bytes(100_000))
        print(part.offset, flush=True)

asyncio.run(main())
"""


def upload_and_die(place: Path, key: str, *, at_least: int) -> None:
    command = [sys.executable, "-c", UPLOADER, str(place), key]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as uploader:
        assert uploader.stdout is not None
        for line in uploader.stdout:
            if int(line) >= at_least:
                uploader.send_signal(signal.SIGKILL)
                return
    raise AssertionError("the uploader ended by itself")


async def test_a_process_that_is_killed_leaves_a_part_that_goes_on(tmp_path: Path) -> None:
    key = new_key(NOW)
    upload_and_die(tmp_path, key, at_least=500_000)
    folder = Folder(tmp_path, bytes_max=2**30)
    reached = await folder.progress(key)
    assert not reached.whole
    assert reached.offset >= 500_000
    assert await folder.size(key) is None
    part = await folder.resume(key)
    assert part is not None
    await part.write(b"end")
    found = await part.finish(ANYTHING)
    await part.close()
    assert found.size == reached.offset + 3


async def test_a_crash_after_the_file_got_its_name_leaves_no_way_to_write_to_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path, bytes_max=2**30)
    key = new_key(NOW)
    part = await folder.begin(key)
    await part.write(b"whole")
    # What a crash between link and unlink leaves behind: one file under both names.
    (named,) = (tmp_path / "parts").iterdir()
    final = tmp_path / "files" / key
    final.parent.mkdir()
    os.link(named, final)
    with pytest.raises(Problem, match="state_conflict"):
        await part.write(b", or is it?")
    await part.close()
    late = await folder.resume(key)
    assert late is not None
    with pytest.raises(Problem, match="state_conflict"):
        await late.write(b", or is it?")
    await late.close()
    assert await folder.progress(key) == Progress(5, whole=True)
    assert final.read_bytes() == b"whole"


async def test_a_complete_key_is_never_written_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path, bytes_max=2**30)
    key = new_key(NOW)
    for data in (b"first", b"second"):
        part = await folder.begin(key)
        await part.write(data)
        if data == b"first":
            await part.finish(ANYTHING)
        else:
            with pytest.raises(Problem, match="This file is complete already"):
                await part.finish(ANYTHING)
        await part.close()
    assert b"".join([chunk async for chunk in folder.read(key)]) == b"first"
    assert list((tmp_path / "parts").iterdir()) == []


async def test_who_begins_anew_while_a_file_is_measured_overtakes_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path, bytes_max=2**30)
    key = new_key(NOW)

    async def begin_anew() -> None:
        fresh = await folder.begin(key)
        await fresh.write(b"half of ano")
        await fresh.close()

    class Meddler(Promise):
        """Asked whether what was measured is right, lets somebody begin anew, and finds it right."""

        def breach(self, found: Found) -> str | None:
            asyncio.run(begin_anew())  # finishing runs in a thread of its own
            return None

    part = await folder.begin(key)
    await part.write(b"whole")
    with pytest.raises(Problem, match="state_conflict"):
        await part.finish(Meddler("a.bin", "application/octet-stream", None, None, 2**25))
    await part.close()
    assert await folder.progress(key) == Progress(11, whole=False)


def rights_of_others(place: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode & 0o077 for path in place.rglob("*")}


async def test_nobody_else_on_the_machine_can_read_the_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "media", bytes_max=2**30)
    key = new_key(NOW)
    part = await folder.begin(key)
    await part.finish(ANYTHING)
    await part.close()
    rights = rights_of_others(tmp_path)
    assert len(rights) == 6
    assert set(rights.values()) == {0}


async def test_a_full_disk_is_said_and_the_half_file_gives_its_room_back(small_disk: Path) -> None:
    folder = Folder(small_disk, bytes_max=2**30)
    key = new_key(NOW)
    part = await folder.begin(key)
    with pytest.raises(Problem) as caught:
        for _ in range(8):
            await part.write(bytes(2**20))
    assert (caught.value.code.code, caught.value.code.status) == ("storage_full", 507)
    await part.close()
    assert await folder.progress(key) == Progress(0, whole=False)
    again = await folder.begin(key)
    await again.write(bytes(2**20))
    found = await again.finish(ANYTHING)
    await again.close()
    assert found.size == await folder.size(key) == 2**20
