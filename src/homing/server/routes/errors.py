"""The page that a problem's ``type`` leads to: every code, and what a client does about it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape

from litestar import Response, get

from homing.protocol.errors import CATALOGUE, NEXT, Action, Code
from homing.server.routing import PUBLIC

STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse } td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
code { background: #eee; padding: 0 .2rem } section:target { background: #ffd }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #111 } a { color: #8bf } code { background: #333 } section:target { background: #440 }
}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but this one style."""


@get("/docs/errors", roles=PUBLIC, of_node=True, answers=("text/html",), media_type="text/html")
async def get_errors() -> Response[str]:
    """The page about errors for people, to which every problem's ``type`` leads."""
    return Response(page(), headers={"content-security-policy": POLICY, "cache-control": "public, max-age=3600"})


@cache
def page() -> str:
    """The catalogue as HTML; each code's section has the code for its id."""
    used = {code.action for code in CATALOGUE.values()}
    actions = "\n".join(f"<tr><td><code>{a}</code></td><td>{_text(NEXT[a])}</td></tr>" for a in Action if a in used)
    codes = "\n".join(_section(code) for code in CATALOGUE.values())
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Errors of Homing</title>
<style>{STYLE}</style></head>
<body>
<h1>Errors</h1>
<p>A refused request says its <code>code</code>, and in <code>action</code> what the client does next.</p>
<table>
<tr><th>action</th><th>what the client does</th></tr>
{actions}
</table>
{codes}
</body>
</html>
"""


def _section(code: Code) -> str:
    where = f"Status {code.status}" if code.status is not None else "In results of items only"
    return f"""<section id="{code.code}">
<h2>{escape(code.title)}</h2>
<p><code>{code.code}</code>. {where}. Action: <code>{code.action}</code>.</p>
<p>{_text(code.meaning)}</p>
<p>{_text(NEXT[code.action])}</p>
</section>"""


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


ROUTES = [get_errors]
