"""The carriers on this machine, and people with devices to push to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from homing.notify.carriers import Carriers
from homing.postgres.database import Database
from homing.settings import Settings
from tests.notify.scene import Scene
from tests.notify.vendors import Secrets, Vendors, apple_serving, configure, vendors_serving


@pytest.fixture(scope="package")
def running_vendors() -> Iterator[Vendors]:
    with vendors_serving() as vendors:
        yield vendors


@pytest.fixture(scope="package")
def apple_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apple")


@pytest.fixture(scope="package")
def running_apple(apple_folder: Path) -> Iterator[Vendors]:
    with apple_serving(apple_folder) as vendors:
        yield vendors


@pytest.fixture(scope="package")
def push_settings(running_vendors: Vendors, running_apple: Vendors, apple_folder: Path) -> tuple[Settings, Secrets]:
    return configure(Settings(), apple_folder, running_vendors, running_apple)


@pytest.fixture
def vendors(running_vendors: Vendors) -> Vendors:
    """Google, Expo and the browsers' vendors, who have seen nothing."""
    running_vendors.seen.clear()
    running_vendors.replies.clear()
    running_vendors.receipts.clear()
    return running_vendors


@pytest.fixture
def apple(running_apple: Vendors) -> Vendors:
    running_apple.seen.clear()
    running_apple.replies.clear()
    return running_apple


@pytest.fixture
async def carriers(push_settings: tuple[Settings, Secrets]) -> AsyncIterator[Carriers]:
    """All carriers, as the settings name them."""
    opened = Carriers(push_settings[0])
    yield opened
    await opened.close()


@pytest.fixture
async def scene(db: Database, carriers: Carriers, vendors: Vendors, apple: Vendors) -> Scene:
    return Scene(db, carriers, vendors, apple)
