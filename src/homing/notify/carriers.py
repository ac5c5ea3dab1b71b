"""The carriers that the settings name, opened once a node and used by all of its tenants.

A token of a carrier that the settings do not name goes to the log: one line says what would have been sent, and the
delivery is ``logged``, which is not ``sent``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from joserfc.errors import JoseError

from homing.accounts.push_tokens import Provider
from homing.notify.apns import Apns
from homing.notify.expo import Expo
from homing.notify.fcm import Fcm
from homing.notify.message import Carrier, Logged, Message, Outcome, Say
from homing.notify.webpush import WebPush
from homing.notify.wire import Client
from homing.settings import Settings, SettingsError

log = logging.getLogger("homing.notify")


class Log:
    """What is there where no carrier is."""

    async def send(self, messages: Sequence[Message], now: datetime, say: Say) -> None:  # noqa: ARG002
        for message in messages:
            log.info(
                "no carrier for %s: notification %d (%s) to token %d stays here",
                message.provider,
                message.notification,
                message.kind,
                message.token_id,
            )
            say(message, Logged())

    async def close(self) -> None:
        pass


class Carriers:
    """By provider. Made when the node starts, so that a mistake in the settings stops it; nothing connects yet.

    Raises SettingsError.
    """

    def __init__(self, settings: Settings) -> None:
        self._log = Log()
        self._by_provider: dict[Provider, Carrier] = {}
        self.expo: Expo | None = None
        self.web_push: WebPush | None = None
        self._open(settings)

    @property
    def providers(self) -> Sequence[Provider]:
        """Those that are configured."""
        return sorted(self._by_provider)

    async def send(self, messages: Sequence[Message], now: datetime, outcomes: dict[int, Outcome]) -> None:
        """Every message to its device, the carriers side by side. ``outcomes``, by delivery, has what is known, also
        where this is cancelled."""
        groups: dict[Provider, list[Message]] = {}
        for message in messages:
            groups.setdefault(message.provider, []).append(message)

        def say(message: Message, outcome: Outcome) -> None:
            outcomes[message.delivery] = outcome

        async with asyncio.TaskGroup() as tasks:
            for provider, group in groups.items():
                tasks.create_task(self._carrier(provider).send(group, now, say))

    async def close(self) -> None:
        for carrier in self._by_provider.values():
            await carrier.close()

    def _carrier(self, provider: Provider) -> Carrier:
        return self._by_provider.get(provider, self._log)

    def _open(self, settings: Settings) -> None:
        at_once = settings.push_at_once

        def client(*, http2: bool, public_only: bool = False) -> Client:
            return Client(ca=settings.push_ca, at_once=at_once, http2=http2, public_only=public_only)

        if settings.push_fcm_credentials is not None:
            with _naming("HOMING_PUSH_FCM_CREDENTIALS"):
                self._by_provider["fcm"] = Fcm(
                    credentials=settings.push_fcm_credentials,
                    url=settings.push_fcm_url,
                    client=client(http2=True),
                    at_once=at_once,
                )
        if settings.push_apns_key is not None:
            key_id, team_id, topic = (
                _needed("HOMING_PUSH_APNS_KEY_ID", settings.push_apns_key_id),
                _needed("HOMING_PUSH_APNS_TEAM_ID", settings.push_apns_team_id),
                _needed("HOMING_PUSH_APNS_TOPIC", settings.push_apns_topic),
            )
            with _naming("HOMING_PUSH_APNS_KEY"):
                self._by_provider["apns"] = Apns(
                    key=settings.push_apns_key,
                    key_id=key_id,
                    team_id=team_id,
                    topic=topic,
                    url=settings.push_apns_url,
                    client=client(http2=True),
                    at_once=at_once,
                )
        if settings.push_vapid_key is not None:
            contact = _needed("HOMING_PUSH_VAPID_CONTACT", settings.push_vapid_contact)
            if not contact.startswith(("mailto:", "https://")):
                raise SettingsError("HOMING_PUSH_VAPID_CONTACT: mailto:… or https://…")
            with _naming("HOMING_PUSH_VAPID_KEY"):
                self.web_push = self._by_provider["webpush"] = WebPush(
                    key=settings.push_vapid_key,
                    contact=contact,
                    client=client(http2=True, public_only=not settings.push_private_endpoints),
                    at_once=at_once,
                )
        if settings.push_expo:
            with _naming("HOMING_PUSH_EXPO_TOKEN"):
                self.expo = self._by_provider["expo"] = Expo(
                    url=settings.push_expo_url, token=settings.push_expo_token, client=client(http2=True)
                )


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, msgspec.MsgspecError, JoseError) as error:
        raise SettingsError(f"{setting}: {error}") from error


def _needed(setting: str, value: str | None) -> str:
    if value is None:
        raise SettingsError(f"{setting} is needed, too")
    return value
