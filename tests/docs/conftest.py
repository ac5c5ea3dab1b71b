"""The reference is about everything that ships, so its server has every application."""

from __future__ import annotations

from pathlib import Path

import pytest

from homing.settings import Settings


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, data_dir=tmp_path, pool_size=4, apps=("fieldwork", "messaging"))
