"""Styles, scripts, fonts and icons: packaged files, held in memory, at addresses that change with their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from litestar import Response, get

from homing.protocol.errors import Problem
from homing.server.routing import PUBLIC

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "json": "application/json",
    "LICENSE": "text/plain; charset=utf-8",
}

FOREVER = "public, max-age=31536000, immutable"


def _walk(folder: Traversable, at: str = "") -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        name = f"{at}{each.name}"
        if each.is_dir():
            yield from _walk(each, f"{name}/")
        elif each.name.rpartition(".")[2] in _TYPES:
            yield name, each.read_bytes()


FILES: Final = dict(sorted(_walk(files("homing.console").joinpath("static"))))
VERSION: Final = hashlib.sha256(b"".join(name.encode() + content for name, content in FILES.items())).hexdigest()[:12]


def address(name: str) -> str:
    """Where a packaged file is served. Raises KeyError for one that is not there: a mistake in a template."""
    FILES[name]
    return f"/console/static/{VERSION}/{name}"


@get(
    "/static/{version:str}/{name:path}",
    roles=PUBLIC,
    of_node=True,
    answers=tuple(kind.partition(";")[0] for kind in _TYPES.values()),
)
async def get_static(version: str, name: str) -> Response[bytes]:
    """A packaged file. An older version's address gives the newest, which is not kept."""
    name = name.removeprefix("/")
    if name not in FILES:
        raise Problem("not_found")
    headers = {
        "cache-control": FOREVER if version == VERSION else "no-store",
        "content-security-policy": "default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
    }
    return Response(
        FILES[name], media_type=_TYPES[name.rpartition(".")[2] if "." in name else "LICENSE"], headers=headers
    )


ROUTES = [get_static]
