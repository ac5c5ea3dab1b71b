"""The settings and limits this node runs with, and what they mean. Read only: they are the environment's."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import get

from homing import settings
from homing.console.shell import Asked, Html, render
from homing.protocol import limits
from homing.protocol.limits import DEFAULT_LIMITS, Limits
from homing.server.node import Node
from homing.server.routing import OFFICE
from homing.server.tenant import TENANT, Tenant
from homing.settings import LIMITS_PREFIX, PREFIX, Settings

_SECRET = ("secret", "password", "credential", "private", "key", "dsn")


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting. ``chosen``: it is not the default."""

    variable: str
    value: str
    chosen: bool
    said: str


@get("/settings", roles=OFFICE)
async def get_settings(request: Asked, node: Node, tenant: Tenant) -> Html:
    """What this node was started with; to other tenants only the limits that bind their clients."""
    return render(
        request,
        "settings.html",
        title="Settings",
        settings=_shown(node.settings, Settings(), PREFIX, settings, "Settings") if tenant.name == TENANT else [],
        limits=_shown(node.settings.limits, DEFAULT_LIMITS, LIMITS_PREFIX, limits, "Limits"),
    )


ROUTES = [get_settings]


def _shown(
    values: Settings | Limits, defaults: Settings | Limits, prefix: str, module: ModuleType, name: str
) -> list[Shown]:
    said = _said(module, name)
    return [
        Shown(
            variable=prefix + field.name.upper(),
            value=_spell(field.name, getattr(values, field.name)),
            chosen=getattr(values, field.name) != getattr(defaults, field.name),
            said=said.get(field.name, ""),
        )
        for field in msgspec.structs.fields(values)
        if field.name != "limits"
    ]


def _spell(name: str, value: Any) -> str:
    """A value as somebody would write it; nothing that opens a door."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(map(str, value))
    text = str(value)
    if isinstance(value, str) and any(word in name for word in _SECRET):
        return "(set)"
    if "://" in text:
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return text


@cache
def _said(module: ModuleType, name: str) -> dict[str, str]:
    """The words below each field of a class, which are nowhere but in its source."""
    found: dict[str, str] = {}
    field = ""
    for node in ast.parse(inspect.getsource(module)).body:
        for part in node.body if isinstance(node, ast.ClassDef) and node.name == name else ():
            match part:
                case ast.AnnAssign(target=ast.Name(id=field)):
                    pass
                case ast.Expr(value=ast.Constant(value=str(text))) if field:
                    found[field] = " ".join(text.replace("``", "").split())
    return found
