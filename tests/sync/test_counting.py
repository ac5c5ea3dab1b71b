"""Replicas that count the same stock on a bad line: what everybody counted is in the row once, and so are their tags.

Real replicas, over HTTP, on PostgreSQL. They count from the number they show, also while a batch is on its way and
before they have pulled what others made of the last one. Kept beside them: what each of them meant to add.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from homing.client import Client
from homing.settings import Settings
from tests.fixtures.accounts import PASSWORD, create_user
from tests.sync.scene import Scene


class Line(httpx.BaseTransport):
    """Loses requests and answers; ``between`` is called before a push goes out."""

    def __init__(self, rng: Random, lost: float) -> None:
        self.line = httpx.HTTPTransport()
        self.rng = rng
        self.lost = lost
        self.cuts = 0
        self.between: Callable[[], None] = lambda: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sync/push"):
            self.between()
        self._cut()
        response = self.line.handle_request(request)
        response.read()
        self._cut()
        return response

    def _cut(self) -> None:
        if self.rng.random() < self.lost:
            self.cuts += 1
            raise httpx.ReadError("lost")

    def close(self) -> None:
        self.line.close()


class Counter:
    """Somebody with a phone. ``counted``: what they meant to add to the stock of each good."""

    def __init__(self, scene: Scene, settings: Settings, file: Path, team: str, rng: Random) -> None:
        user = create_user(settings.database_url or "", file.stem, "WORKER")
        scene.execute("INSERT INTO shop.members (team_id, user_id) VALUES (%s, %s)", team, user)
        self.line = Line(rng, lost=0.0)
        http = httpx.Client(transport=self.line, timeout=120)
        self.client = Client(file, scene.server.url, http=http, rng=rng, sleep=lambda _: None)
        self.client.login(file.stem, PASSWORD)
        self.client.register_device(device_type="phone", os_version="1", app_version="1")
        self.client.sync()
        self.rng, self.name = rng, file.stem
        self.counted: dict[str, int] = {}
        self.tagged: dict[str, set[str]] = {}

    def count(self, good: str) -> None:
        """Count, or tag, from what the phone shows."""
        shown = self.client.replica.get("good", good)
        assert shown is not None
        if self.rng.random() < 0.7:
            more = self.rng.choice([-2, -1, 1, 2, 3])
            self.client.replica.update("good", good, stock=shown["stock"] + more)
            self.counted[good] = self.counted.get(good, 0) + more
            return
        mine = self.tagged.setdefault(good, set())
        tag = f"{self.name}-{self.rng.randrange(3)}"
        tags = [each for each in shown["tags"] if each != tag] if tag in mine else [*shown["tags"], tag]
        mine ^= {tag}
        self.client.replica.update("good", good, tags=tags)


@pytest.fixture
def counters(scene: Scene, shop_settings: Settings, tmp_path: Path) -> Iterator[Callable[[int, str], list[Counter]]]:
    made: list[Counter] = []

    def several(seed: int, team: str) -> list[Counter]:
        files = [tmp_path / f"s{seed}-{n}.db" for n in range(3)]
        made.extend(Counter(scene, shop_settings, file, team, Random(n)) for n, file in enumerate(files, seed * 10))
        return made

    yield several
    for each in made:
        each.client.close()


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_everybodys_count_counts_once(scene: Scene, counters: Callable[[int, str], list[Counter]], seed: int) -> None:
    rng = Random(seed)
    team = scene.person().team
    goods = [scene.good(team, stock=10) for _ in range(2)]
    people = counters(seed, team)
    for each in people:
        each.line.lost = 0.15
        each.line.between = lambda each=each: each.count(rng.choice(goods)) if rng.random() < 0.5 else None
    for _ in range(40):
        who = rng.choice(people)
        for _ in range(rng.randrange(4)):
            who.count(rng.choice(goods))
        who.client.sync()
    for _ in range(2):
        for each in people:
            each.line.lost, each.line.between = 0.0, lambda: None
            assert each.client.sync().ok
    assert sum(each.line.cuts for each in people) > 10
    assert scene.value("SELECT count(*) FROM homing.sync_items WHERE merged") > 10
    for good in goods:
        stock, tags = scene.rows("SELECT stock, tags FROM shop.goods WHERE id = %s", good)[0]
        assert stock == 10 + sum(each.counted.get(good, 0) for each in people)
        assert set(tags) == set().union(*(each.tagged.get(good, set()) for each in people))
        assert [each.client.replica.get("good", good)["stock"] for each in people] == [stock] * 3  # type: ignore[index]
    for each in people:
        assert (each.client.replica.refused(), each.client.replica.conflicts()) == ([], [])
