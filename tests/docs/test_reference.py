"""The reference says what the program says: generated pages are as they would be generated now, and the others name
everything there is to name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from homing import client, declare
from homing.postgres import codec
from homing.server.app import create_app
from homing.server.node import Node
from homing.server.routing import routes_of
from tests.console.screenshots import SHOTS
from tests.docs.generate import PAGES, REFERENCE


@pytest.mark.parametrize(("name", "make"), PAGES.items(), ids=list(PAGES))
def test_a_generated_page_is_up_to_date(name: str, make: Callable[[], str]) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == make(), "run: python -m tests.docs.generate"


def code_words(name: str) -> set[str]:
    """Everything a page says in backticks, outside and inside of blocks, cut into words."""
    text = (REFERENCE / name).read_text(encoding="utf-8")
    return set(re.findall(r"[\w/{}.-]+", " ".join(re.findall(r"`+([^`]+)`+", text))))


async def test_every_route_is_in_the_protocol(node: Node) -> None:
    text = (REFERENCE / "protocol.md").read_text(encoding="utf-8")
    said = set(re.findall(r"\b(GET|POST|PUT|PATCH|DELETE|HEAD) (/[\w/{}.-]*)", text))
    real = {(route.method, _plain(route.path)) for route in routes_of(create_app(node))}
    assert {(method, _plain(path)) for method, path in said} == real


def _plain(path: str) -> str:
    """Parameters without their names."""
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1"))


def test_every_name_an_application_may_use_is_in_the_declaration() -> None:
    assert set(declare.__all__) <= code_words("declaration.md")


def test_every_name_of_the_client_is_on_its_page() -> None:
    methods = {name for kind in (client.Client, client.Replica) for name in vars(kind) if not name.startswith("_")}
    assert set(client.__all__) | methods <= code_words("python-client.md")


def test_every_page_of_the_console_has_its_pictures() -> None:
    drawn = {f"{shot.name}-{theme}.png" for shot in SHOTS for theme in ("light", "dark")}
    text = (REFERENCE / "console.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(\.\./images/([\w-]+\.png)\)", text)) == drawn
    assert {path.name for path in (REFERENCE.parent / "images").glob("*.png")} == drawn


def wire_rows() -> Iterator[tuple[str, str]]:
    text = (REFERENCE / "types.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| (`.*?) \| `(\w+)` \|", text, re.M):
        for name in re.findall(r"`([\w() ,]+)`", row[0]):
            yield name, row[1]


def test_every_type_is_on_the_page_of_types() -> None:
    said = dict(wire_rows())
    names = {"int2": "smallint", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision"}
    names["bool"] = "boolean"
    plain = {names.get(name, name): wire.kind for name, wire in codec._PLAIN.items()}
    others = {"varchar(n)": "text", "char(n)": "text", "numeric": "decimal", "geography": "point"}
    assert {name: said.get(name) for name in plain | others} == plain | others
