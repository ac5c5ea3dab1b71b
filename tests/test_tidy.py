"""House rules that a machine can see. Each test names the files that break its rule; each rule has a reason."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "tests", "bench", "docs", ".ci")
TEXT = {".py", ".sql", ".md", ".html", ".css", ".js", ".toml", ".txt", ".json", ""}
HOUSE = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file()
    and path.suffix in TEXT
    and not {"__pycache__", "node_modules", "vendor"} & set(path.parts)
    and not any(part.endswith(".egg-info") for part in path.parts)
] + [path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in TEXT and path.name != ".git"]
MODULES = [path for path in HOUSE if path.suffix == ".py"]
SHIPPED = [path for path in MODULES if path.is_relative_to(ROOT / "src")]
TESTS = [path for path in MODULES if path.is_relative_to(ROOT / "tests")]

BANNED = {"manager", "helper", "util", "common"}
"""Words that say nothing of the thing they name (docs/glossary.md has the words to use)."""

RUNS_SQL = {"execute", "executemany", "executescript", "fetch_one", "fetch_all", "copy", "stream"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def words(identifier: str) -> set[str]:
    """The words of snake_case and CamelCase, in the singular."""
    return {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def identifiers(tree: ast.Module) -> Iterator[str]:
    """The names a module gives; names it only uses are somebody else's choice."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.alias(asname=str(name)):
                yield name


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Each call with the last part of the called name."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
                yield node, name


def test_the_house_is_found() -> None:
    assert len(SHIPPED) > 10
    assert {"Makefile", "pyproject.toml", "requirements.txt", ".ci/run"} <= {name_of(path) for path in HOUSE}


def test_modules_are_short_or_say_why_not() -> None:
    """A module over 500 lines holds more than one subject, unless its first paragraph explains."""
    long = []
    for path in MODULES:
        tree = parse(path)
        length = len(path.read_text(encoding="utf-8").splitlines())
        if length > 500 and "lines" not in (ast.get_docstring(tree) or "").split("\n\n")[0]:
            long.append(f"{name_of(path)}: {length} lines")
    assert long == []


def test_modules_say_what_they_are() -> None:
    bare = [
        name_of(path)
        for path in SHIPPED
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(parse(path))
    ]
    assert bare == []


def test_names_say_something() -> None:
    files = [name_of(path) for path in HOUSE if any(BANNED & words(part) for part in path.relative_to(ROOT).parts)]
    names = [
        f"{name_of(path)}: {name}" for path in MODULES for name in set(identifiers(parse(path))) if BANNED & words(name)
    ]
    assert files + sorted(names) == []


def test_nothing_is_left_to_do() -> None:
    """A note in the code is read by nobody; an issue is."""
    note = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    assert [name_of(path) for path in HOUSE if note.search(path.read_text(encoding="utf-8"))] == []


def test_no_statement_is_put_together_from_strings() -> None:
    """Values travel as parameters and identifiers through psycopg.sql.Identifier: nothing else can be injected into.

    The client's SQLite has no such composition; its identifiers go through one function that quotes them.
    """
    wrong = []
    for path in (path for path in SHIPPED if "client" not in path.parts):
        for call, name in calls(parse(path)):
            if name not in RUNS_SQL:
                continue
            for argument in call.args:
                match argument:
                    case (
                        ast.JoinedStr()
                        | ast.BinOp(op=ast.Mod() | ast.Add())
                        | ast.Call(func=ast.Attribute(value=ast.Constant() | ast.JoinedStr(), attr="format" | "join"))
                    ):
                        wrong.append(f"{name_of(path)}:{argument.lineno}")
    assert wrong == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    place = re.compile(r"(?<![\w.}])/(work|root|tmp|home/\w+)/")
    assert [name_of(path) for path in HOUSE if place.search(path.read_text(encoding="utf-8"))] == []


def test_only_commands_print() -> None:
    """A server's words go to its log, where the operator chose to have them."""
    allowed = ROOT / "src" / "homing" / "cli"
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in SHIPPED
        if not path.is_relative_to(allowed)
        for call, name in calls(parse(path))
        if name == "print" and isinstance(call.func, ast.Name)
    ]
    assert found == []


def test_tests_wait_for_signals_and_use_the_real_thing() -> None:
    """A sleep is too short on a busy machine and too long on a free one; a mock agrees with whatever was assumed."""
    wrong = []
    for path in TESTS:
        tree = parse(path)
        for call, name in calls(tree):
            if name == "sleep" and not (
                call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
            ):
                wrong.append(f"{name_of(path)}:{call.lineno} sleeps")
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=module) if (module or "").startswith(("unittest", "mock")):
                    wrong.append(f"{name_of(path)}:{node.lineno} mocks")
    assert wrong == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.txt", ("demo", "heic")), ("requirements-dev.txt", ("demo", "heic", "dev", "bench"))],
)
def test_the_lock_names_every_package_by_version_and_hash_and_no_place_to_get_it_from(
    lock: str, extras: tuple[str, ...]
) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|^ *-(?!-hash).*", text, re.M) == []
    entries = re.split(r"^(?=[a-z])", re.sub(r"^ *#.*\n", "", text, flags=re.M), flags=re.M)[1:]
    loose = [
        entry.splitlines()[0]
        for entry in entries
        if not re.match(r"[a-z0-9.-]+==[^ ]+ (;.*)?\\\n( +--hash=sha256:[0-9a-f]{64}.*\n)+\Z", entry)
    ]
    assert loose == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    named = {re.match(r"[a-z0-9.-]+", line)[0].replace("_", "-") for line in wanted}  # type: ignore[index]
    locked = {entry.split("==")[0] for entry in entries}
    assert sorted(named - locked) == [], "pyproject.toml asks for packages that the lock lacks: make lock"
