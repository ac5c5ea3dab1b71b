"""What every request that may change something passes before its handler: it came from a page of ours.

Two proofs. The browser says where a request began (``Sec-Fetch-Site``, ``Origin``), which no page can forge; and the
form carries a token of the session (``accounts.cookies``), which no other page can know. Signing in has no session yet:
there the browser's word is required. With ``SameSite=Lax`` other sites' forms do not even bring the cookie (ADR 62).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from homing.accounts.cookies import is_csrf_token
from homing.console.forms import FORM_KEY, read_form
from homing.protocol.errors import Problem
from homing.server.routing import CALLER_KEY, TENANT_KEY

TOKEN_FIELD = "csrf"  # noqa: S105 - the field's name, not a secret
TOKEN_HEADER = "x-csrf-token"  # noqa: S105

_SAFE = frozenset({"GET", "HEAD"})


async def guard(request: Request[Any, Any, Any]) -> None:
    """Litestar's ``before_request`` of the console. Raises Problem("forbidden") and what ``read_form`` raises."""
    scope: dict[str, Any] = request.scope  # type: ignore[assignment]
    if request.method in _SAFE:
        # A form sends its empty fields too; an empty filter is none.
        pairs = scope["query_string"].split(b"&")
        scope["query_string"] = b"&".join(pair for pair in pairs if pair.partition(b"=")[2])
        return
    known = _began_here(request)
    if known is False:
        raise Problem("forbidden", "This form was sent from another site.")
    form = await read_form(request)
    scope[FORM_KEY] = form
    caller = scope.get(CALLER_KEY)
    if caller is None:
        if known is None:
            raise Problem("forbidden", "The browser does not say where this form was sent from.")
        return
    given = request.headers.get(TOKEN_HEADER) or form.raw(TOKEN_FIELD) or ""
    if not is_csrf_token(scope[TENANT_KEY].keys, caller.session_id, given):
        raise Problem("forbidden", "This form is of an earlier session: load the page again and send it once more.")


def _began_here(request: Request[Any, Any, Any]) -> bool | None:
    """Whether the browser says that the request began on a page of this origin; None where it says nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return None
    # The host alone: behind a proxy that ends TLS our own scheme is not the browser's.
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
