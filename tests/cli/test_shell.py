"""What holds for every command: what may stand without a name, and that nobody meets a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest
from cyclopts import App

from homing.cli import main
from homing.settings import Settings
from tests.fixtures.cluster import Cluster

Shell = Callable[..., tuple[int, str, str]]

MAY_BE_LEFT_OUT = {
    "client retry": ["--payload"],
    "demo": ["WHICH"],
    "psql": ["ARGUMENTS"],
    "tenants migrate": ["--name"],
}
"""Words without a name before them that a command can do without. Whatever else may be left out is an option, and has
its name: a word too many must not be taken for a folder."""


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs ``homing …``; returns exit status, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(list(words))
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    return run


def leaves(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, App]]:
    """Every command that does something, by its words."""
    if app.default_command is not None:
        yield " ".join(path), app
    for name in app:
        if not name.startswith("-"):
            yield from leaves(app[name], (*path, name))


def test_what_may_be_left_out_has_its_name() -> None:
    found = {words: list(app.assemble_argument_collection()) for words, app in leaves(main)}
    assert len(found) > 30
    assert {"serve", "migrate", "users create", "devices list"} <= set(found)
    nameless = {words: [each for each in arguments if each.index is not None] for words, arguments in found.items()}
    assert {each.names[0] for each in nameless["conflicts resolve"]} == {"--conflict", "--resolution"}
    optional = {words: [each.names[0] for each in some if not each.required] for words, some in nameless.items()}
    assert {words: names for words, names in optional.items() if names} == MAY_BE_LEFT_OUT


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "postgresql://somewhere/else"),
        ("migrate", "status", "data"),
        ("users", "list", "OWNER"),
        ("devices", "show", "phone", "data"),
        ("conflicts", "resolve", "018f0000-0000-7000-8000-000000000000", "merged", "--payload", "[1]"),
        ("devices", "list", "--limit", "many"),
        ("enrollments", "list", "--limit", "-1"),
        ("users", "list", "--limit", "0"),
    ],
)
def test_a_wrong_call_is_told_so_with_2(shell: Shell, words: tuple[str, ...]) -> None:
    status, out, err = shell(*words)
    assert status == 2, out + err
    assert "Traceback" not in out + err
    assert out + err


def test_a_user_without_rights_is_told_which_and_where_to_read_on(
    shell: Shell, cluster: Cluster, database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS weak")
        conn.execute("CREATE ROLE weak LOGIN")
    parts = urlsplit(database_url)
    weak = urlunsplit(parts._replace(netloc=f"weak@{parts.netloc.rpartition('@')[2]}"))
    for command in (["devices", "list"], ["migrate"]):
        status, out, err = shell(*command, "--database-url", weak, "--data", str(tmp_path))
        assert (status, out) == (1, ""), err
        first, second = err.splitlines()
        assert "permission denied for" in first
        assert second.startswith("Give the user of the database URL this right")


def test_data_of_another_postgresql_are_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    for words in (["devices", "list"], ["migrate", "status"], ["serve"], ["psql"], ["demo"]):
        status, out, err = shell(*words, "--data", str(tmp_path))
        assert (status, out) == (1, ""), err
        (said,) = [line for line in err.splitlines() if "Starting" not in line]
        assert "are PostgreSQL 12's and this is 18: dump them with the version they were made with" in said


def test_a_folder_that_cannot_be_one_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, out, err = shell("devices", "list", "--data", str(tmp_path / "file"))
    assert (status, out, err) == (1, "", f"{tmp_path / 'file'}: File exists\n")


@pytest.mark.parametrize("words", ["serve", "users list", "tenants list", "migrate", "psql", "backup b.dump"])
def test_what_is_no_connection_string_is_not_repeated(shell: Shell, tmp_path: Path, words: str) -> None:
    status, out, err = shell(*words.split(), "--database-url", "hunter2", "--data", str(tmp_path))
    assert (status, out, err.partition(":")[0], "hunter2" in err) == (1, "", "invalid_parameter", False)


def test_migrations_are_named_after_their_application(shell: Shell, settings: Settings, tmp_path: Path) -> None:
    assert settings.database_url is not None
    given = ["--database-url", settings.database_url, "--data", str(tmp_path), "--apps", "tests.sync.shop,fieldwork"]
    status, out, err = shell("migrate", *given)
    assert status == 0, err
    lines = out.splitlines()
    assert {"core 0001 core", "shop 0001 shop", "fieldwork 0001 fieldwork"} <= set(lines)
    status, out, _ = shell("migrate", *given, "--json")
    assert json.loads(out) == {"migrations": lines}
    status, out, _ = shell("migrate", "status", *given, "--json")
    states = {(row["set"], row["state"]) for row in json.loads(out) if row["set"] in ("core", "shop", "fieldwork")}
    assert states == {("core", "applied"), ("shop", "applied"), ("fieldwork", "applied")}
    status, out, err = shell("migrate", "rollback", "shop", "0", *given)
    assert (status, out) == (0, "shop 0001 shop\n"), err


NEED_NO_SCHEMA = {"serve", "migrate", "psql", "attach", "demo", "doctor", "backup", "restore", "users create"}
"""These bring the schema up to date themselves, look at a database as it is, or make one of their own: by their words,
or the first of them."""
CONTROL_ONLY = {"client", "tenants"}
"""The first work on a device's replica, the second on the control tables, which they make."""


def office_commands() -> list[str]:
    some = (words for words, _ in leaves(main))
    return [each for each in some if not {each, each.split()[0]} & (NEED_NO_SCHEMA | CONTROL_ONLY)]


def filled(words: str, there: Path) -> list[str]:
    """The words of a command with something possible for everything it needs."""
    app = dict(leaves(main))[words]
    line = words.split()
    for each in app.assemble_argument_collection():
        if each.required:
            by_type = {UUID: str(UUID(int=1)), int: "1", str: "x", Path: str(there)}
            value = by_type.get(each.hint) or str(get_args(each.hint)[0])
            line += [value] if each.index is not None else [each.names[0], value]
    return line


def test_what_the_office_commands_are() -> None:
    assert {"users list", "jobs show", "conflicts resolve", "collect", "explain", "epoch new"} <= set(office_commands())


def test_a_database_that_was_never_migrated_is_one_sentence(
    shell: Shell, new_database: Callable[..., str], tmp_path: Path
) -> None:
    names = tmp_path / "names.csv"
    names.write_text("username\nwim\n")
    where = ["--database-url", new_database(), "--apps", "fieldwork", "--data", str(tmp_path)]
    found = {words: shell(*filled(words, names), *where) for words in office_commands()}
    sentence = "The database was never migrated: run `homing migrate`.\n"
    assert found == dict.fromkeys(found, (1, "", sentence))


def test_a_database_that_is_behind_is_one_sentence(shell: Shell, database_url: str) -> None:
    assert shell("migrate", "--database-url", database_url)[0] == 0
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("ALTER TABLE homing.conflicts RENAME TO conflicts_of_tomorrow")
    status, out, err = shell("conflicts", "list", "--database-url", database_url)
    assert (status, out) == (1, "")
    assert err.endswith("the database's schema is behind: run `homing migrate`.\n")
    assert len(err.splitlines()) == 1
