"""``homing enrollments``, as somebody of the office types it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from homing.cli import main

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """Runs ``homing …`` on a database with one owner; returns exit status, output and errors."""
    monkeypatch.setenv("HOMING_DATABASE_URL", database_url)
    monkeypatch.setenv("HOMING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOMING_BASE_URL", "https://field.example.org")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(list(words))
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    assert run("users", "create", "--login", "olga", "--role", "OWNER")[0] == 0
    return run


def test_a_picture_that_cannot_be_written_does_not_cost_the_token(shell: Shell, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "ana.png"
    status, out, err = shell("enrollments", "create", "--username", "ana", "--png", str(nowhere), "--json")
    assert (status, err) == (1, f"{nowhere}: No such file or directory\n")
    assert json.loads(out)["manual_code"].count("-") == 6

    picture = tmp_path / "ben.png"
    assert shell("enrollments", "create", "--username", "ben", "--png", str(picture))[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_table_shows_whole_ids_however_narrow(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(shell("enrollments", "create", "--username", "ana", "--json")[1])
    monkeypatch.setenv("COLUMNS", "80")
    lines = shell("enrollments", "list")[1].splitlines()
    assert "".join(line.split("│")[1].strip() for line in lines if line.startswith("│")) == made["id"]


def test_a_sheet_is_made_from_names_in_a_file_or_refused_in_a_sentence(shell: Shell, tmp_path: Path) -> None:
    names = tmp_path / "team.csv"
    with names.open("w", newline="") as file:
        csv.writer(file).writerows([("username", "role"), ("cleo", "WORKER"), ("<dan>", "")])
    status, out, _ = shell("enrollments", "sheet", str(names), "--title", "A & B")
    assert (status, out.count("<section>"), "&lt;dan&gt;" in out, "A &amp; B" in out) == (0, 2, True, True)

    for content in (b"\xff\xfe\x00", b"name\ncleo\n", b"username\n", b'username\n"' + b"x" * 200_000):
        names.write_bytes(content)
        status, out, err = shell("enrollments", "sheet", str(names))
        assert (status, out, err.partition(":")[0]) == (1, "", "invalid_parameter"), content[:20]
    names.unlink()
    assert shell("enrollments", "sheet", str(names))[::2] == (1, f"{names}: No such file or directory\n")
