"""Fixtures are small plugins, one file a resource, in ``tests/fixtures``; what a test sets up stands in the test."""

from pathlib import Path

pytest_plugins = sorted(
    f"tests.fixtures.{path.stem}"
    for path in (Path(__file__).parent / "fixtures").glob("*.py")
    if path.stem != "__init__"
)
