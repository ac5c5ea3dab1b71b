"""What this server can do and where its bounds are: the first thing a client asks."""

from __future__ import annotations

import msgspec
from litestar import get

from homing.protocol.limits import Limits
from homing.protocol.pins import CertificatePinning, published
from homing.server.routing import PUBLIC
from homing.server.tenant import Tenant

PROTOCOL = 1
"""The version of the wire contract. A client of a higher one must expect less; a lower one always works."""


class AppCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """``tables``: the application's resource types, as answers name them."""

    name: str
    title: str
    tables: list[str]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, rename={"certificate_pinning": "certificatePinning"}):
    """``certificatePinning``, as specification 4 spells it: the keys that apps accept of this server."""

    protocol: int
    limits: Limits
    encodings: list[str]
    apps: list[AppCapabilities]
    roles: list[str]
    certificate_pinning: CertificatePinning


@get("/capabilities", roles=PUBLIC)
async def get_capabilities(tenant: Tenant) -> Capabilities:
    """Limits with their values, applications, tables, roles."""
    catalogue = tenant.engine.bound.catalogue
    return Capabilities(
        protocol=PROTOCOL,
        limits=tenant.settings.limits,
        encodings=["gzip", "zstd"],
        apps=[
            AppCapabilities(name=app.name, title=app.title, tables=[catalogue.wire_type(table) for table in app.tables])
            for app in tenant.apps
        ],
        roles=sorted(tenant.roles),
        certificate_pinning=published(
            tenant.settings.certificate_pins_ios,
            tenant.settings.certificate_pins_android,
            today=tenant.clock().date(),
        ),
    )


ROUTES = [get_capabilities]
