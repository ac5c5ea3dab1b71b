"""Settings: what is written is what counts, and every mistake is named at the start."""

from pathlib import Path

import pytest

from homing.protocol.limits import DEFAULT_LIMITS
from homing.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.read({"PATH": "/bin", "HOMINGX": "1"}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    settings = Settings.read(
        {
            "HOMING_DATABASE_URL": "postgresql://db/homing",
            "HOMING_DATA_DIR": "/var/lib/homing",
            "HOMING_HOST": "0.0.0.0",
            "HOMING_PORT": " 80 ",
            "HOMING_BASE_URL": "https://sync.example.org",
            "HOMING_APPS": "fieldwork, crm",
            "HOMING_MEDIA_URL": "s3://bucket/media",
            "HOMING_ACCESS_TOKEN_SECONDS": "60",
            "HOMING_REFRESH_TOKEN_DAYS": "7",
            "HOMING_SESSION_DAYS_MAX": "30",
            "HOMING_TRUST_THRESHOLD": "0.25",
            "HOMING_POOL_SIZE": "2",
            "HOMING_LIMITS_BATCH_ITEMS_MAX": "50",
        }
    )
    assert settings == Settings(
        database_url="postgresql://db/homing",
        data_dir=Path("/var/lib/homing"),
        host="0.0.0.0",
        port=80,
        base_url="https://sync.example.org",
        apps=("fieldwork", "crm"),
        media_url="s3://bucket/media",
        access_token_seconds=60,
        refresh_token_days=7,
        session_days_max=30,
        trust_threshold=0.25,
        pool_size=2,
        limits=type(DEFAULT_LIMITS)(batch_items_max=50),
    )


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(
            {
                "HOMING_APPS": "fieldwork,",
                "HOMING_DATA_DIR": "",
                "HOMING_LIMITS": "5",
                "HOMING_LIMITS_BATCH_ITEMS_MAX": "0",
                "HOMING_LIMITS_BATCH_ITEM_MAX": "5",
                "HOMING_POOL_SIZES": "5",
                "HOMING_PORT": "http",
                "HOMING_TRUST_THRESHOLD": "2",
                "HOMING_ZZZ": "1",
            }
        )
    assert str(caught.value).splitlines() == [
        "HOMING_APPS: Expected `str` of length >= 1 - at `$[1]`",
        "HOMING_DATA_DIR: Expected `str` of length >= 1",
        "HOMING_LIMITS is not a setting",
        "HOMING_LIMITS_BATCH_ITEMS_MAX: Expected `int` >= 1",
        "HOMING_LIMITS_BATCH_ITEM_MAX is not a setting; did you mean HOMING_LIMITS_BATCH_ITEMS_MAX?",
        "HOMING_POOL_SIZES is not a setting; did you mean HOMING_POOL_SIZE?",
        "HOMING_PORT: Expected `int`, got `str`",
        "HOMING_TRUST_THRESHOLD: Expected `float` <= 1.0",
        "HOMING_ZZZ is not a setting",
    ]
