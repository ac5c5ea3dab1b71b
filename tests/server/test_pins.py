"""Certificate pins: what the settings say is what clients are told, checked when the server starts."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from homing.protocol.pins import Pin
from homing.settings import Settings, SettingsError
from tests.fixtures.server import Server


def pin(text: str) -> str:
    return f"sha256/{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


NOW, NEXT, OLD = pin("in use"), pin("next"), pin("next since yesterday")
TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date()
YESTERDAY = (datetime.now(UTC) - timedelta(days=2)).date()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings,
        certificate_pins_ios=(Pin(NOW), Pin(NEXT, TOMORROW)),
        certificate_pins_android=(Pin(NOW), Pin(NEXT, TOMORROW), Pin(OLD, YESTERDAY)),
    )


def test_clients_are_told_what_to_accept_now_and_next(http: httpx.Client, server: Server) -> None:
    assert http.get("/api/v1/capabilities").json()["certificatePinning"] == {
        "ios": [NOW, NEXT],
        "android": [NOW, NEXT, OLD],
        "next": [{"pin": NEXT, "from": TOMORROW.isoformat()}],
    }


def test_pins_are_read_from_the_settings() -> None:
    read = Settings.read({"HOMING_CERTIFICATE_PINS_IOS": f"{NOW}, {NEXT}@2026-12-01"})
    assert [str(each) for each in read.certificate_pins_ios] == [NOW, f"{NEXT}@2026-12-01"]
    assert (Settings().certificate_pins_ios, Settings().certificate_pins_android) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256/",
        NOW.removeprefix("sha256/"),
        NOW.replace("sha256", "sha1"),
        NOW[:-1],
        f"{NOW}=",
        f"sha256/{base64.b64encode(b'x' * 31).decode()}",
        f"sha256/{base64.b64encode(b'x' * 33).decode()}",
        f"sha256/{base64.urlsafe_b64encode(bytes([255] * 32)).decode()}",
        # The specification's own examples have 43 characters before the sign, the last with bits to spare.
        "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
        f"{NOW},{NOW}",
        f"{NOW}@tomorrow",
        f"{NOW}@2026-13-01",
        f"{NOW}@2026-12-01",
        ",".join(pin(str(n)) for n in range(11)),
    ],
)
def test_what_is_no_pin_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^HOMING_CERTIFICATE_PINS_ANDROID: "):
        Settings.read({"HOMING_CERTIFICATE_PINS_ANDROID": text})
