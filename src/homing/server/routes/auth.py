"""Signing in, staying signed in, signing out, and who one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from msgspec import Meta

from homing.accounts import device_keys, devices, fingerprints, sessions, users
from homing.accounts.access import issue_access
from homing.accounts.devices import Device
from homing.accounts.login import login
from homing.accounts.passwords import LENGTH_MAX
from homing.accounts.rates import CHALLENGE, LOGIN, LOGIN_ADDRESS, REFRESH, REFRESH_ADDRESS
from homing.accounts.sessions import Prove, Session
from homing.accounts.users import LOGIN_MAX, User
from homing.engine.caller import Caller
from homing.server.bodies import read
from homing.server.limiting import address_of
from homing.server.routing import PERSON, PUBLIC, SIGNED_IN
from homing.server.tenant import Tenant


class Proof(msgspec.Struct, kw_only=True):
    """The proof of a device that was enrolled with a key: a challenge, and the key's signature (base64url)."""

    challenge: Annotated[str, Meta(max_length=4096)] | None = None
    signature: device_keys.Signature | None = None


class LoginRequest(Proof, kw_only=True):
    """``login`` is an e-mail address or a username. With ``device_id`` the session is that device's."""

    login: Annotated[str, Meta(min_length=1, max_length=LOGIN_MAX)]
    password: Annotated[str, Meta(max_length=LENGTH_MAX)]
    platform: Literal["web", "mobile"] | None = None
    device_id: devices.Name | None = None
    device_fingerprint: fingerprints.Fingerprint | None = None


class RefreshRequest(Proof, kw_only=True):
    """``device_id``, where given, must be the session's."""

    refresh_token: Annotated[str, Meta(max_length=200)]
    device_id: devices.Name | None = None
    device_fingerprint: fingerprints.Fingerprint | None = None


class ChallengeRequest(msgspec.Struct, kw_only=True):
    """``nonce``: the device's own, to see that the answer was made for it. ``fingerprint``: the server's key that the
    device knows; another one of the server's signs where that is not in use any more."""

    device_id: devices.Name
    nonce: device_keys.Nonce | None = None
    fingerprint: device_keys.Nonce | None = None


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """``challenge``: a JWS by ``server_key`` (a JWK). ``expires_in``: seconds."""

    challenge: str
    expires_in: int
    server_key: Mapping[str, str]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """``expires_in``: seconds the access token holds. The refresh token is good for one more pair."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the type's name, not a secret
    expires_in: int
    refresh_token: str
    user: User


class AppName(msgspec.Struct, frozen=True):
    name: str
    title: str


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """``device``: None in a browser, and until the device is registered."""

    user: User
    role: str
    device: Device | None
    tenant: str
    apps: list[AppName]


@post("/auth/login", status_code=200, roles=PUBLIC, body=LoginRequest)
async def post_login(request: Request[Any, Any, Any], tenant: Tenant) -> Tokens:
    """Sign in with a login and a password."""
    given = await read(request, LoginRequest)
    taken = await tenant.rates.take((LOGIN_ADDRESS, address_of(request.scope)), (LOGIN, given.login.casefold()))
    session = await login(
        tenant.database,
        login=given.login,
        password=given.password,
        platform=given.platform or ("web" if given.device_id is None else "mobile"),
        device_name=given.device_id,
        prove=_prove(tenant, given, "login", given.login),
        now=tenant.clock(),
        session_days_max=tenant.settings.session_days_max,
    )
    tenant.rates.give_back(taken)  # only failures count
    await _compare(tenant, session, given.device_fingerprint, where="sign_in")
    return await tokens_of(tenant, session)


@post("/auth/refresh", status_code=200, roles=PUBLIC, body=RefreshRequest)
async def post_refresh(request: Request[Any, Any, Any], tenant: Tenant) -> Tokens:
    """Redeem a refresh token. Asking again after a lost answer gives the same refresh token again."""
    given = await read(request, RefreshRequest)
    await tenant.rates.take((REFRESH, given.refresh_token))
    taken = await tenant.rates.take((REFRESH_ADDRESS, address_of(request.scope)))
    session = await sessions.rotate(
        tenant.database,
        tenant.keys.access,
        refresh_token=given.refresh_token,
        device_name=given.device_id,
        prove=_prove(tenant, given, "refresh", given.refresh_token),
        now=tenant.clock(),
        idle_days=tenant.settings.refresh_token_days,
    )
    tenant.rates.give_back(taken)
    await _compare(tenant, session, given.device_fingerprint, where="refresh")
    return await tokens_of(tenant, session)


@post("/auth/challenge", status_code=200, roles=PUBLIC, rate=CHALLENGE, body=ChallengeRequest)
async def post_challenge(request: Request[Any, Any, Any], tenant: Tenant) -> Challenge:
    """What a device that was enrolled with a key is to sign. Any name gets an answer of the same kind."""
    given = await read(request, ChallengeRequest)
    newest = next(iter(tenant.keys.identities.values()))
    identity = tenant.keys.identities.get(given.fingerprint or "", newest)
    challenge = device_keys.make_challenge(
        identity, tenant=tenant.name, device=given.device_id, nonce=given.nonce, now=tenant.clock()
    )
    return Challenge(challenge=challenge, expires_in=device_keys.CHALLENGE_SECONDS, server_key=identity.public)


@post("/auth/logout", status_code=204, roles=SIGNED_IN, confirmed=PERSON)
async def post_logout(tenant: Tenant, caller: Caller) -> None:
    """End this session: its access tokens and its refresh tokens, at once."""
    async with tenant.database.transaction(actor=str(caller.user_id)) as conn:
        await sessions.end(conn, session_id=caller.session_id, reason="signed out", now=tenant.clock())


@get("/auth/me", roles=SIGNED_IN, confirmed=PERSON)
async def get_me(tenant: Tenant, caller: Caller) -> Me:
    """Who is signed in, on which device, and which applications this server has."""
    async with tenant.database.connection() as conn:
        user = await users.read(conn, caller.user_id)
        device = None if caller.device_id is None else await devices.read(conn, caller.device_id)
    apps = [AppName(app.name, app.title) for app in tenant.apps]
    return Me(user=user, role=caller.role, device=device, tenant=caller.tenant, apps=apps)


async def tokens_of(tenant: Tenant, session: Session) -> Tokens:
    async with tenant.database.connection() as conn:
        user = await users.read(conn, session.user_id)
    seconds = tenant.settings.access_token_seconds
    access_token = issue_access(
        tenant.keys,
        user_id=session.user_id,
        role=session.role,
        tenant=tenant.name,
        device_id=session.device_name,
        platform=session.platform,
        session_id=session.id,
        now=tenant.clock(),
        seconds=seconds,
    )
    return Tokens(access_token=access_token, expires_in=seconds, refresh_token=session.refresh_token, user=user)


async def _compare(tenant: Tenant, session: Session, told: str | None, *, where: fingerprints.Where) -> None:
    """Whether the device is still the same machine. Changes nothing about the answer: whoever stole a device's name
    must not learn how to be taken for it."""
    if told is None or session.device_name is None:
        return
    async with tenant.database.transaction(actor=str(session.user_id)) as conn:
        await fingerprints.compare(
            conn,
            device_name=session.device_name,
            user_id=session.user_id,
            fingerprint=fingerprints.hashed(tenant.keys.recognising, told),
            where=where,
            now=tenant.clock(),
        )


def _prove(tenant: Tenant, given: Proof, purpose: str, subject: str) -> Prove:
    def prove(device_name: str, public_key: Mapping[str, Any]) -> None:
        device_keys.check_answer(
            tenant.keys.identities,
            tenant=tenant.name,
            key=public_key,
            device=device_name,
            purpose=purpose,
            subject=subject,
            challenge=given.challenge,
            signature=given.signature,
            now=tenant.clock(),
        )

    return prove


ROUTES = [post_login, post_refresh, post_challenge, post_logout, get_me]
