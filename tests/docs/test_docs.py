"""The documentation does what it says: every page is run from top to bottom, word for word, as its reader would."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.docs.pages import LANGUAGES, PAGES, ROOT, Block, Told, anchor, blocks, headings, parts, prose
from tests.docs.session import Session, session
from tests.fixtures.accounts import create_user
from tests.fixtures.cluster import Cluster
from tests.places import memory

PEOPLE = {"olga": ("OWNER", "open the gate"), "wim": ("WORKER", "water the beans")}

SHOWN = {
    "docs/how-to/run-in-a-container.md": "building an image needs a container engine",
    "docs/how-to/connect-your-own-postgresql.md": "it needs somebody else's PostgreSQL",
    "docs/benchmarks.md": "the benchmark takes a quarter of an hour",
    "docs/how-to/store-media-in-s3.md": "nobody has the bucket of the example",
    "docs/how-to/restore-a-backup.md": "it would begin another epoch in the middle of the page",
    "README.md": "make installs into the checkout that the tests run from",
    "docs/tutorials/field-day.md": "make installs into the checkout that the tests run from",
}
"""Pages with commands that are read but not run, and why."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_run(part: Block | Told) -> bool:
    return isinstance(part, Told) or (part.language in ("sh", "python", "sql") and "shown" not in part.words)


RUN = [page for page in PAGES if any(is_run(part) for part in parts(page))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_does_what_it_says(
    page: Path, template: str, new_database: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    everything = parts(page)
    told = [part.words for part in everything if isinstance(part, Told)]
    environment = {}
    if ("admin",) in told:
        environment |= administrator(request)
    elif ("embedded",) not in told:
        environment["HOMING_DATABASE_URL"] = new_database(template)
    if ("bucket",) in told:
        environment |= bucket(request)
    try:
        # Not pytest's folder: that is closed to PostgreSQL's user again by the next pytest that starts beside this one.
        with (
            TemporaryDirectory(prefix="homing-docs-", dir=memory()) as folder,
            session(Path(folder), environment) as opened,
        ):
            run(opened, everything, environment)
    except FileNotFoundError as missing:
        pytest.skip(f"{name_of(page)} WAS NOT RUN: it needs {missing}")


def bucket(request: pytest.FixtureRequest) -> dict[str, str]:
    """An empty S3 bucket, and the credentials for it."""
    url: str = request.getfixturevalue("bucket_url")
    return {"HOMING_MEDIA_URL": url, "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}


def administrator(request: pytest.FixtureRequest) -> dict[str, str]:
    """psql is the administrator's, and the page is about the database ``field`` of ``homing_owner``."""
    cluster: Cluster = request.getfixturevalue("cluster")
    parts = urlsplit(cluster.admin)
    given = dict(parse_qsl(parts.query))
    owner = parts._replace(netloc="homing_owner@", path="/field").geturl()
    return {
        "PGHOST": given["host"],
        "PGPORT": given["port"],
        "PGUSER": parts.username or "postgres",
        "PGDATABASE": "postgres",
        "HOMING_DATABASE_URL": owner,
    }


def run(opened: Session, everything: list[Block | Told], environment: dict[str, str]) -> None:
    said = ""
    for part in everything:
        try:
            said = (
                run_told(opened, part, environment, said) if isinstance(part, Told) else run_block(opened, part, said)
            )
        except Exception as error:
            error.add_note(f"{name_of(part.page)}:{part.line}")
            error.add_note(opened.log() if (opened.folder.parent / "server.log").exists() else "no server ran")
            raise


def run_told(opened: Session, part: Told, environment: dict[str, str], said: str) -> str:
    match part.words:
        case ("embedded",) | ("admin",) | ("bucket",):
            pass
        case ("become", role):
            url = urlsplit(environment["HOMING_DATABASE_URL"])._replace(netloc=f"{role}@").geturl()
            opened.shell(f"export HOMING_DATABASE_URL='{url}'")
        case ("drop", database, *roles):
            there = "" if "PGHOST" in environment else f"--maintenance-db '{environment['HOMING_DATABASE_URL']}' "
            opened.shell("\n".join([f"dropdb {there}{database}", *(f"dropuser {role}" for role in roles)]))
        case ("users",):
            for login, (role, password) in PEOPLE.items():
                create_user(environment["HOMING_DATABASE_URL"], login, role, password=password)
        case ("serve", *more):
            for login, (role, password) in PEOPLE.items():
                create_user(environment["HOMING_DATABASE_URL"], login, role, password=password)
            opened.serve(" ".join(["homing serve", *more]))
        case ("stop",):
            opened.stop()
        case _:
            raise ValueError(f"a page tells its test {part.words}, which means nothing")
    return said


def run_block(opened: Session, block: Block, said: str) -> str:
    """Run or check one block; what it printed, or what the one before it did."""
    match block.language, block.words:
        case "sh", ("shown",):
            check_bash(block)
        case "sh", ("server", *until):
            opened.serve(block.text, until="".join(until).removeprefix("until="))
        case "sh", () | ("fails",):
            return opened.shell(block.text, fails="fails" in block.words)
        case "python", (word,) if word.startswith("file="):
            opened.write(word.removeprefix("file="), block.text)
        case "python", ():
            return opened.python(block.text)
        case "sql", () | ("fails",):
            return opened.sql(block.text, fails="fails" in block.words)
        case "json", ("answer",):
            compare(json.loads(opened.here(block.text)), read_json(said), "")
        case "text", ("answer",):
            assert re.fullmatch(pattern(opened.here(block.text)), tidy(said), re.S), f"{block.text}\n\nis not\n\n{said}"
        case "json", ():
            json.loads(block.text)
        case "ini", ():
            configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
        case "text", ("drawing",) | ():
            pass
        case "dockerfile", ():
            assert all(re.match(r"[A-Z]+ |#|$| ", line) for line in block.text.splitlines())
        case _:
            raise ValueError(f"{block.place}: nobody knows how to test a block of {block.language} {block.words}")
    return said


def read_json(said: str) -> Any:
    """What was printed, without the lines above it."""
    start = min((at for at in (said.find("{"), said.find("[")) if at >= 0), default=0)
    return json.loads(said[start:])


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def pattern(text: str) -> str:
    return ".*?".join(re.escape(piece) for piece in tidy(text).split("…"))


def compare(shown: Any, real: Any, path: str) -> None:
    """``shown`` is the page's: "…" stands for any value, as a member for any others, in a text for any part of it."""
    match shown:
        case "…":
            pass
        case dict():
            assert isinstance(real, dict), f"{path}: {real!r} is no object"
            names = set(shown) - {"…"}
            missing, further = names - set(real), set(real) - names if "…" not in shown else set()
            assert not missing, f"{path}: {sorted(missing)} is not in {real}"
            assert not further, f"{path}: the page does not show {sorted(further)} of {real}"
            for name in names:
                compare(shown[name], real[name], f"{path}/{name}")
        case list():
            assert isinstance(real, list), f"{path}: {real!r} is no list"
            if shown and shown[-1] == "…":
                shown, real = shown[:-1], real[: len(shown) - 1]
            assert len(shown) == len(real), f"{path}: {len(real)} instead of {len(shown)}: {real}"
            for number, (one, other) in enumerate(zip(shown, real, strict=True)):
                compare(one, other, f"{path}/{number}")
        case str() if "…" in shown:
            assert isinstance(real, str), f"{path}: {real!r} is no text"
            assert re.fullmatch(pattern(shown), real, re.S), f"{path}: {real!r} instead of {shown!r}"
        case _:
            assert shown == real, f"{path}: {real!r} instead of {shown!r}"


def check_bash(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.place}: {done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in RUN], ids=name_of)
def test_a_page_without_commands_is_sound(page: Path) -> None:
    for block in blocks(page):
        assert not is_run(block)
        match block.language:
            case "sh":
                check_bash(block)
            case "json":
                json.loads(block.text)
            case _:
                assert block.language in LANGUAGES, f"{block.place}: a block of {block.language!r}"


def test_what_is_not_run_says_why() -> None:
    shown = {name_of(page) for page in PAGES for block in blocks(page) if "shown" in block.words}
    assert shown == set(SHOWN) & {name_of(page) for page in PAGES}


def test_most_of_what_can_be_run_is_run() -> None:
    """Before anything is said of the pages, that they are there."""
    every = [block for page in PAGES for block in blocks(page) if block.language in ("sh", "python", "sql")]
    assert len(every) > 100
    assert len([block for block in every if "shown" in block.words]) < len(every) / 8


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for number, line in prose(page):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if "://" in target:
                continue
            path, _, fragment = target.partition("#")
            aim = (page.parent / path).resolve() if path else page
            anchors = (
                {anchor(heading) for _, heading in headings(aim)} if aim.suffix == ".md" and aim.exists() else set()
            )
            if not aim.exists() or (fragment and fragment not in anchors):
                dead.append(f"{name_of(page)}:{number}: {target}")
    assert dead == []


def test_every_page_can_be_found() -> None:
    """From the list of pages, in one step; decisions in two."""
    lists = [ROOT / "docs" / "README.md", ROOT / "docs" / "adr" / "README.md"]
    listed = {
        (page.parent / target).resolve()
        for page in lists
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    }
    lost = [page for page in PAGES if page.parent != ROOT and page not in lists and page not in listed]
    assert [name_of(page) for page in lost] == []
