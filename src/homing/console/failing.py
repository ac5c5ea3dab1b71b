"""Refusals as pages: what went wrong, in the words of the problem, and what to do."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from litestar import Response
from litestar.exceptions import HTTPException

from homing.console.shell import Asked, Html, headers, render, wants_fragment
from homing.protocol.errors import Problem
from homing.server.problems import headers_of, problem_of

log = logging.getLogger("homing.console")

SIGN_IN = "/console/sign-in"
_SIGN_IN_AGAIN = frozenset({"unauthenticated", "device_revoked", "device_unknown", "device_suspended"})


def on_problem(request: Asked, problem: Problem) -> Html:
    """A refusal: the way to sign in where nobody is, otherwise a page that says why."""
    if problem.code.code in _SIGN_IN_AGAIN:
        return _sign_in(request)
    more = {name: value for name, value in headers_of(problem).items() if name != "www-authenticate"}
    if wants_fragment(request):
        answer: Html = Response(problem.detail, media_type="text/plain", status_code=problem.code.status or 422)
    else:
        answer = render(
            request, "failed.html", title=problem.code.title, status=problem.code.status or 422, problem=problem
        )
    answer.headers.update(more)
    return answer


def on_http_exception(request: Asked, error: HTTPException) -> Html:
    """What Litestar itself refuses: no such page, a parameter that does not fit."""
    if error.status_code >= 500:
        return on_exception(request, error)
    return on_problem(request, problem_of(request, error))


def on_exception(request: Asked, error: Exception) -> Html:
    """A bug. The id finds it in the log."""
    incident = uuid4().hex[:12]
    log.error("%s %s failed [%s]", request.method, request.scope.get("path_template"), incident, exc_info=error)
    return on_problem(request, Problem("internal", f"Reported as {incident}.", id=incident))


def _sign_in(request: Asked) -> Html:
    scope: Any = request.scope
    back = scope["path"] + (f"?{request.url.query}" if request.url.query else "") if scope["method"] == "GET" else ""
    address = SIGN_IN + (f"?next={quote(back)}" if back not in ("", "/console") and not wants_fragment(request) else "")
    if request.headers.get("accept") == "text/event-stream":
        return Response("", media_type="text/html", status_code=204, headers=headers())  # an EventSource gives up
    if wants_fragment(request):
        return Response("", media_type="text/html", status_code=401, headers={**headers(), "hx-redirect": address})
    return Response("", media_type="text/html", status_code=303, headers={**headers(), "location": address})
