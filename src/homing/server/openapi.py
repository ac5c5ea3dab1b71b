"""The API's description, from the types that really decode bodies and encode answers. Nothing is written twice."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec
from litestar import Litestar, Response
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition
from litestar.utils.predicates import is_class_and_subclass

from homing.protocol.errors import Action
from homing.server.answers import RawJson
from homing.server.problems import MEDIA_TYPE
from homing.server.routing import Everybody, Route, routes_of

_REF = "#/components/schemas/{name}"
_CONSTRAINTS = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}


class ProblemDocument(msgspec.Struct, kw_only=True):
    """Why a request was refused (RFC 9457), and in ``action`` what the client does next."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    action: Literal[tuple(action.value for action in Action)]  # type: ignore[valid-type]


@lru_cache(8)
def describe(app: Litestar) -> bytes:
    """The OpenAPI 3.1 document as JSON."""
    routes = list(routes_of(app))
    kinds = [kind for route in routes for kind in (_body(route), _answer(route)) if kind is not None]
    schemas, components = msgspec.json.schema_components([ProblemDocument, *kinds], ref_template=_REF)
    by_kind = dict(zip(map(repr, [ProblemDocument, *kinds]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Homing", "version": "1", "description": "Offline-first sync for PostgreSQL."},
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"access": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }
    )


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    handler = route.handler
    problem = {"content": {MEDIA_TYPE: {"schema": schemas[repr(ProblemDocument)]}}, "description": "Refused."}
    answer = _answer(route)
    good: dict[str, Any] = {"description": "Done."}
    if answer is not None:
        good["content"] = {"application/json": {"schema": schemas[repr(answer)]}}
    elif "answers" in handler.opt:
        good["content"] = {media_type: {} for media_type in handler.opt["answers"]}
    operation: dict[str, Any] = {
        "operationId": handler.handler_name,
        "tags": [handler.fn.__module__.rpartition(".")[2]],
        "summary": (handler.fn.__doc__ or "").strip().partition("\n")[0],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {str(handler.status_code): good, "default": problem},
    }
    body = _body(route)
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[repr(body)]}},
        }
    if route.roles is not Everybody.PUBLIC:
        operation["security"] = [{"access": []}]
    return operation


def _body(route: Route) -> Any:
    return route.handler.opt.get("body")


def _answer(route: Route) -> Any:
    declared = route.handler.opt.get("answer")
    if declared is not None:
        return declared
    kind = route.handler.parsed_fn_signature.return_type.annotation
    raw = is_class_and_subclass(kind, RawJson) or route.handler.parsed_fn_signature.return_type.is_subclass_of(Response)
    return None if kind in (None, type(None)) or raw or "answers" in route.handler.opt else kind


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    fields = route.handler.parsed_fn_signature.parameters
    return [
        {"name": name, "in": "path", "required": True, "schema": _schema(fields[name]) if name in fields else {}}
        for part in route.path.split("/")
        if part.startswith("{")
        for name in (part[1:-1].partition(":")[0],)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    for name, field in route.handler.parsed_fn_signature.parameters.items():
        alias = getattr(field.kwarg_definition, "name", None) or name
        if alias in route.query:
            parameter: dict[str, Any] = {"name": alias, "in": "query", "required": field.is_required}
            parameter["schema"] = _schema(field)
            if isinstance(field.kwarg_definition, ParameterKwarg) and field.kwarg_definition.description:
                parameter["description"] = field.kwarg_definition.description
            found.append(parameter)
    return found


def _schema(field: FieldDefinition) -> dict[str, Any]:
    # Whatever else Litestar can parse from an address (a path) is a string there.
    schema = msgspec.json.schema(field.annotation, schema_hook=lambda _: {"type": "string"})
    # An optional parameter is left out, never null.
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = kinds[0]
    given = field.kwarg_definition
    for ours, theirs in _CONSTRAINTS.items():
        value = getattr(given, ours, None)
        if value is not None:
            schema[theirs] = value
    if field.has_default and field.default is not None:
        schema["default"] = field.default
    return schema
