"""The settings: read once from the environment at start, checked, and passed on. Nothing else reads the environment.

Each field is the variable ``HOMING_<FIELD>`` in capitals; ``limits`` are ``HOMING_LIMITS_<LIMIT>``. A variable that
begins with ``HOMING_`` and names nothing stops the start: it is a typing mistake, and what it meant would silently not
apply.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from homing.protocol.limits import DEFAULT_LIMITS, Limits
from homing.protocol.pins import Pin, read_pins
from homing.protocol.rates import Rate, read_rates

PREFIX = "HOMING_"
LIMITS_PREFIX = "HOMING_LIMITS_"

Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
Rates = dict[str, Rate | None]
Networks = tuple[IPv4Network | IPv6Network, ...]


class SettingsError(Exception):
    """The settings are not usable. The message names every variable that is wrong, a line each."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can choose. Seconds, days and bytes are in the field's name."""

    database_url: Text | None = None
    """A PostgreSQL of 15 or newer. None: the embedded server in ``data_dir``."""
    data_dir: Path = Path("data")
    """The embedded server and, without ``media_url``, the uploaded files."""
    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """0: any free port."""
    base_url: Text | None = None
    """Where clients reach this server, when a proxy stands before it. None: as each request says."""
    trusted_proxies: Networks = (ip_network("127.0.0.1"), ip_network("::1"))
    """Addresses or networks of the proxies whose X-Forwarded-For says who calls. Nobody else's is believed."""
    certificate_pins_ios: tuple[Pin, ...] = ()
    """Pins of the server's certificate that iOS apps accept, as ``sha256/…=, sha256/…=@2026-12-01``: the next one with
    the day from which it may be met. They are published at ``/api/v1/capabilities``."""
    certificate_pins_android: tuple[Pin, ...] = ()
    """The same for Android apps."""
    rates: Rates = {}
    """Rates other than their defaults, as ``marketplace-web=300/900, sync=off``: requests and seconds."""
    apps: tuple[str, ...] = ("fieldwork",)
    media_url: Text | None = None
    """An object store (``s3://bucket/prefix``). None: the folder ``data_dir/media``."""
    media_keep_metadata: bool = False
    """Give images to others with what the camera wrote into them, the place too, where an upload does not say."""
    access_token_seconds: Annotated[int, Meta(ge=30, le=3600)] = 600
    """At most an hour: an access token cannot be taken back, only its session."""
    refresh_token_days: Count = 60
    session_days_max: Count = 180
    """After this a person signs in again, however often the token was refreshed."""
    enrolment_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 3600
    """How long an enrolment token holds where its maker does not say; 600 for the careful."""
    trust_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Pushes of a device whose trust score is below this are held for review."""
    live_origins: tuple[str, ...] = ()
    """Web pages of other addresses that may open a live connection, as ``https://app.example.org``."""
    presence_grace_seconds: Annotated[int, Meta(ge=0, le=3600)] = 15
    """How long after their last live connection somebody still counts as online."""
    analytics_conversions: tuple[str, ...] = ("purchase", "payment_succeeded", "proposal_submitted")
    """Events that are what an application is for: who did one of them converted."""
    pool_size: Annotated[int, Meta(ge=1, le=100)] = 8
    """Connections to PostgreSQL per pool and process."""
    tenants_open_max: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Tenants a node has open at once, besides the default one; of the idle ones, the least recently used is closed."""
    tenant_pool_size: Annotated[int, Meta(ge=1, le=100)] = 2
    """Connections per pool of a tenant other than the default one: two such pools act for clients, a third has one."""
    tenant_connections_max: Annotated[int, Meta(ge=5, le=10_000)] = 60
    """Connections per process of all tenants other than the default one together, without one for each tenant with live
    connections. For one more, those of the tenant that was used least recently are closed."""
    maintenance: bool = True
    """VACUUM each week, and bloated indexes rebuilt each month. False: somebody else does it."""
    migrate_tenants: bool = False
    """Bring a tenant's schema up to date when it is first used. Otherwise: homing tenants migrate."""
    payments: Literal["stripe", "sandbox", "off"] | None = None
    """Through what clients pay. None: Stripe where its keys are set, the sandbox with the embedded server, else off."""
    stripe_secret_key_file: Path | None = None
    """A file with Stripe's secret key. ``{tenant}`` in its name stands for the tenant's."""
    stripe_webhook_secret_file: Path | None = None
    """A file with the secret that Stripe signs events with, as the key's."""
    stripe_api_base: Text | None = None
    """A server that speaks Stripe's API instead of Stripe's own: for tests."""
    push_fcm_credentials: Path | None = None
    """The JSON file of a service account that may send by Firebase. None: FCM's tokens go to the log."""
    push_fcm_url: Text = "https://fcm.googleapis.com"
    push_apns_key: Path | None = None
    """The ``.p8`` file of a key for APNs. None: its tokens go to the log."""
    push_apns_key_id: Text | None = None
    push_apns_team_id: Text | None = None
    push_apns_topic: Text | None = None
    """The iOS app's bundle id."""
    push_apns_url: Text = "https://api.push.apple.com"
    """``https://api.sandbox.push.apple.com`` for apps built with a development profile."""
    push_vapid_key: Path | None = None
    """A PEM file with a P-256 private key, for browsers. None: their subscriptions go to the log."""
    push_vapid_contact: Text | None = None
    """Whom a carrier may write to: ``mailto:…`` or ``https://…``."""
    push_expo: bool = False
    """Send to Expo's tokens through Expo. Otherwise they go to the log."""
    push_expo_token: Path | None = None
    """A file with an access token of Expo's, for projects with push security."""
    push_expo_url: Text = "https://exp.host/--/api/v2/push"
    push_private_endpoints: bool = False
    """Let browsers name carriers at private addresses, and without TLS: for tests and closed networks only."""
    push_ca: Path | None = None
    """A PEM file of certificate authorities to trust for carriers, besides the usual ones."""
    push_at_once: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Requests to one carrier that a job has under way at the same time."""
    map_tiles: Text | None = None
    """Where the console's maps get their pictures, as ``https://…/{z}/{x}/{y}.png``. None: a plain grid of degrees, and
    nothing is fetched from anywhere."""
    limits: Limits = DEFAULT_LIMITS

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in ``environ``. Raises SettingsError, naming all mistakes at once."""
        problems: list[str] = []
        fields: dict[str, Any] = {}
        limits: dict[str, int] = {}
        for name, value in environ.items():
            if name.startswith(LIMITS_PREFIX):
                _read_one(name, value, LIMITS_PREFIX, _LIMIT_TYPES, into=limits, problems=problems)
            elif name.startswith(PREFIX):
                _read_one(name, value, PREFIX, _types(cls), into=fields, problems=problems)
        if problems:
            raise SettingsError("\n".join(sorted(problems)))
        return cls(**fields, limits=msgspec.structs.replace(DEFAULT_LIMITS, **limits))


_LIMIT_TYPES: Mapping[str, Any] = {field.name: Count for field in msgspec.structs.fields(Limits)}
"""A limit of zero or less would refuse everything."""


def _types(settings: type[Settings]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(settings) if field.name != "limits"}


def _read_one(
    name: str, value: str, prefix: str, types: Mapping[str, Any], *, into: dict[str, Any], problems: list[str]
) -> None:
    key = name.removeprefix(prefix).lower()
    if key not in types:
        near = difflib.get_close_matches(key, types, n=1)
        hint = f"; did you mean {prefix}{near[0].upper()}?" if near else ""
        problems.append(f"{name} is not a setting{hint}")
        return
    try:
        into[key] = _convert(value.strip(), types[key])
    except (msgspec.ValidationError, ValueError) as error:
        problems.append(f"{name}: {error}")


def _convert(value: str, kind: Any) -> Any:
    if kind in (Path, Path | None):
        return Path(msgspec.convert(value, Text))
    if kind == tuple[Pin, ...]:
        return read_pins(value)
    if kind == Rates:
        return read_rates(value)
    if kind == Networks:
        return tuple(ip_network(part.strip()) for part in value.split(",")) if value != "none" else ()
    if kind == tuple[str, ...]:
        return tuple(msgspec.convert([part.strip() for part in value.split(",")], list[Text]))
    return msgspec.convert(value, kind, strict=False)
