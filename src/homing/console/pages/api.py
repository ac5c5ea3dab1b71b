"""The API's reference, made of the OpenAPI description that the server gives out."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from litestar import Litestar, get
from litestar.params import QueryParameter

from homing.console.shell import Asked, Html, render
from homing.protocol.errors import CATALOGUE, NEXT
from homing.server.openapi import describe
from homing.server.routing import SIGNED_IN

Tag = Annotated[str | None, QueryParameter(max_length=100)]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one address. ``body`` and ``answer``: (the schema's name, its JSON Schema)."""

    method: str
    path: str
    summary: str
    public: bool
    parameters: list[dict[str, Any]]
    body: tuple[str, Any] | None
    answer: tuple[str, Any] | None


@get("/api", roles=SIGNED_IN)
async def get_api(request: Asked, tag: Tag = None) -> Html:
    """The operations of one subject."""
    by_tag = _operations(request.app)
    shown = tag if tag in by_tag else next(iter(by_tag))
    return render(
        request,
        "api.html",
        title="API reference",
        tags=[(name, len(operations)) for name, operations in by_tag.items()],
        tag=shown,
        operations=by_tag[shown],
        codes=list(CATALOGUE.values()),
        next=NEXT,
    )


ROUTES = [get_api]


@lru_cache(4)
def _operations(app: Litestar) -> dict[str, list[Operation]]:
    openapi = msgspec.json.decode(describe(app))
    schemas = openapi["components"]["schemas"]
    found: dict[str, list[Operation]] = {}
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            good = next(iter(operation["responses"].values()))
            made = Operation(
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                public="security" not in operation,
                parameters=operation["parameters"],
                body=_schema(operation.get("requestBody"), schemas),
                answer=_schema(good, schemas),
            )
            found.setdefault(operation["tags"][0], []).append(made)
    return dict(sorted(found.items()))


def _schema(part: dict[str, Any] | None, schemas: dict[str, Any]) -> tuple[str, Any] | None:
    content = (part or {}).get("content", {})
    for media_type, described in content.items():
        schema = described.get("schema")
        if schema is None:
            return media_type, None
        name = schema.get("$ref", "").rpartition("/")[2]
        return (name, schemas.get(name, schema)) if name else ("JSON", schema)
    return None
