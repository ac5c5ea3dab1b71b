"""Which rate a request counts for, and for whom.

A route names its rate (``rate=``), or has its application's. A rate of two, ``<name>-web`` and ``<name>-mobile``, is
chosen by what the access token says and the server signed, never by what a request claims: it is ``mobile`` for a
session with a device, ``web`` for every other. Counted are

* the user, all their sessions of one platform together, and their device, whoever uses it;
* of ``sync`` the user's device alone, because a crew may share a login; in a browser the user;
* before anybody is signed in, the address that the request comes from: of IPv6 the /64 network, which is one
  customer's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from homing.accounts.rates import SYNC, Taken, Who
from homing.engine.caller import Claims
from homing.server.edge import HEADERS_KEY

WEB, MOBILE = "web", "mobile"


def names_of(rate: str, rates: Collection[str]) -> Mapping[str, str] | None:
    """Platform → the name of the rate that counts there; None where there is no such rate."""
    if rate in rates:
        return {WEB: rate, MOBILE: rate}
    names = {platform: f"{rate}-{platform}" for platform in (WEB, MOBILE)}
    return names if all(name in rates for name in names.values()) else None


def who_counts(names: Mapping[str, str], claims: Claims | None, scope: Mapping[str, Any]) -> list[Who]:
    if claims is None:
        return [(names[WEB], f"address {address_of(scope)}")]
    user = f"user {claims.user_id}"
    if claims.device_name is None:
        return [(names[WEB], user)]
    name = names[MOBILE] if claims.platform == MOBILE else names[WEB]
    if name == SYNC:
        return [(name, f"{user} device {claims.device_name}")]
    return [(name, user), (name, f"device {claims.device_name}")]


def tell(scope: dict[str, Any], taken: Taken) -> None:
    """Leave word of how the caller stands for the head of the answer. Of a loose rate, which nobody should come near,
    only its refusals speak: sync pays for each byte."""
    if taken.standing is not None and not taken.standing.rate.loose:
        scope[HEADERS_KEY] = [(name.encode(), value.encode()) for name, value in taken.standing.headers()]


def address_of(scope: Mapping[str, Any]) -> str:
    """Where a request comes from, as it counts. uvicorn puts what a trusted proxy says there."""
    client = scope.get("client")
    return _network(client[0]) if client else ""


@lru_cache(4096)
def _network(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return text[:100]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64))
    return text
