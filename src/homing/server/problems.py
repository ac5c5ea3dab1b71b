"""Every refusal as application/problem+json (RFC 9457), from the one catalogue. Nothing internal gets out.

A Problem raised anywhere below is rendered as it is. What Litestar refuses itself (no such address, wrong method, a
parameter that does not fit) is given its code here. Anything else is a bug: it is logged with an id, and the answer
holds nothing but that id.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import ParameterKwarg

from homing.protocol.errors import CATALOGUE, Problem
from homing.protocol.rates import RateLimited

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger("homing.server")

CLOSING = frozenset({"too_large", "too_slow", "unsupported_media_type"})
"""After these the rest of the body is still coming: the connection closes instead of swallowing it."""

_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 413: "too_large"}


def headers_of(problem: Problem) -> dict[str, str]:
    """The headers that go with a problem."""
    headers: dict[str, str] = {}
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    if isinstance(problem, RateLimited):
        headers.update(problem.standing.headers())
    if problem.code.status == 401:
        headers["www-authenticate"] = "Bearer"
    if problem.code.code in CLOSING:
        headers["connection"] = "close"
    return headers


def body_of(problem: Problem) -> bytes:
    return msgspec.json.encode(problem.document())


def on_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    return _response(problem, headers_of(problem))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses."""
    if error.status_code >= 500:
        return on_exception(request, error)
    headers = {name.lower(): value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _response(problem_of(request, error), headers)


def problem_of(request: Request[Any, Any, Any], error: HTTPException) -> Problem:
    """What Litestar itself refuses, with its code here."""
    if isinstance(error, ValidationException):
        return Problem("invalid_parameter", _what_is_wrong(request, error))
    if error.status_code in _BY_STATUS:
        return Problem(_BY_STATUS[error.status_code])
    return Problem("invalid_parameter", "The request is not valid.")


def on_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug. The id finds it in the log."""
    incident = uuid4().hex[:12]
    log.error("%s %s failed [%s]", request.method, request.scope.get("path_template"), incident, exc_info=error)
    return _response(Problem("internal", f"Reported as {incident}.", id=incident), {})


def _response(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    status = problem.code.status or CATALOGUE["invalid_envelope"].status
    return Response(body_of(problem), media_type=MEDIA_TYPE, status_code=status, headers=headers)


def _what_is_wrong(request: Request[Any, Any, Any], error: ValidationException) -> str:
    """Litestar's list of what did not fit, as one sentence; only names and expectations, never our types. It names
    parameters as our functions do, the sentence as the address does."""
    names = {
        name: field.kwarg_definition.name
        for name, field in request.route_handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, ParameterKwarg)
    }
    found = error.extra if isinstance(error.extra, list) else []
    said = [
        f"{names.get(each['key']) or each['key']}: {each['message']}"
        for each in found
        if "key" in each and "message" in each
    ]
    return "; ".join(said) or error.detail.partition(" for path ")[0] + "."
