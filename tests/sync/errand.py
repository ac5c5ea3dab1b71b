"""A batch with one of everything, or one of plain creates, and every trace it leaves: in places that would show it
twice."""

from __future__ import annotations

from itertools import count
from typing import Literal

from tests.sync.scene import Caller, Json, create, delete, update

numbers = count(1)

Way = Literal["at once", "fast", "careful"]
"""How the engine goes about it (engine/push.py)."""


class Errand:
    """A batch on rows of its own, and what must have become of it."""

    def __init__(self, device: Caller, *, way: Way) -> None:
        scene, team = device.scene, device.team
        self.scene, self.name = scene, f"errand {next(numbers)}"
        self.counted = scene.good(team, stock=5)
        self.renamed, self.removed, self.contested = scene.shelf(team), scene.shelf(team), scene.shelf(team)
        scene.execute("UPDATE shop.goods SET stock = 7 WHERE id = %s", self.counted)
        scene.execute("UPDATE shop.shelves SET name = 'theirs' WHERE id = %s", self.contested)
        self.items = [
            create("shelf", f"{self.name} shelf", team_id=team, name=self.name),
            create("good", f"{self.name} good", team_id=team, title=self.name, shelf_id=f"{self.name} shelf"),
            update("good", self.counted, 1, f"{self.name} count", stock=6),
            update("shelf", self.renamed, 1, f"{self.name} rename", name="ours"),
            delete("shelf", self.removed, 1, f"{self.name} remove"),
            update("shelf", self.contested, 1, f"{self.name} contest", name="ours"),
        ]
        self.verdicts = [("ok", None)] * 5 + [("conflict", "version_conflict")]
        if way == "careful":
            # Only the database sees it, and so the whole batch goes the careful way.
            self.items.insert(3, create("shelf", f"{self.name} refused", team_id=team, name=""))
            self.verdicts.insert(3, ("error", "check_failed"))
        # What was there before, and a create for each row that came.
        created = [
            *[(row, "create") for row in (self.counted, self.renamed, self.removed, self.contested)],
            (self.counted, "update"),
            (self.contested, "update"),
            ("new", "create"),
            ("new", "create"),
        ]
        self.once = {
            "shelves": [(self.name, 1)],
            "goods": [(self.name, 1, True)],
            "counted": [(8, 3)],
            "renamed": [("ours", 2)],
            "removed": [],
            "contested": [("theirs", 2)],
            "labels": [(self.name,)],
            "conflicts": sorted([(self.contested, "pending"), (self.counted, "resolved")]),
            "verdicts": [(6,)],
            # One entry for each change.
            "history": sorted(
                [
                    *created,
                    (self.counted, "update"),
                    (self.renamed, "update"),
                    (self.removed, "delete"),
                ]
            ),
        }

        if way == "at once":
            # Of everything only what needs nothing to be read.
            self.items = [create("shelf", f"{self.name} {n}", team_id=team, name=self.name) for n in range(2)]
            self.verdicts = [("ok", None)] * 2
            self.once |= {
                "shelves": [(self.name, 1)] * 2,
                "goods": [],
                "counted": [(7, 2)],
                "renamed": [("a shelf", 1)],
                "removed": [("a shelf", 1)],
                "labels": [],
                "conflicts": [],
                "verdicts": [(2,)],
                "history": sorted(created),
            }

    def found(self) -> Json:
        """What became of it: every trace it leaves, with the number of times."""
        rows = self.scene.rows
        old = [self.counted, self.renamed, self.removed, self.contested]
        new = [
            *rows("SELECT id::text FROM shop.shelves WHERE name = %s", self.name),
            *rows("SELECT id::text FROM shop.goods WHERE title = %s", self.name),
        ]
        history = rows(
            "SELECT row_id, action::text FROM homing.history WHERE row_id = ANY (%s)", old + [row for (row,) in new]
        )
        return {
            "shelves": rows("SELECT name, version FROM shop.shelves WHERE name = %s", self.name),
            "goods": rows(
                "SELECT title, g.version, s.name = title FROM shop.goods g JOIN shop.shelves s ON s.id = shelf_id"
                " WHERE title = %s",
                self.name,
            ),
            "counted": rows("SELECT stock, version FROM shop.goods WHERE id = %s", self.counted),
            "renamed": rows("SELECT name, version FROM shop.shelves WHERE id = %s", self.renamed),
            "removed": rows("SELECT name, version FROM shop.shelves WHERE id = %s", self.removed),
            "contested": rows("SELECT name, version FROM shop.shelves WHERE id = %s", self.contested),
            "labels": rows("SELECT title FROM shop.labels_printed WHERE title = %s", self.name),
            "conflicts": sorted(
                rows("SELECT row_id, resolution::text FROM homing.conflicts WHERE row_id = ANY (%s)", old)
            ),
            "verdicts": rows(
                "SELECT count(*) FROM homing.sync_items WHERE client_temp_id LIKE %s AND NOT again"
                " AND status <> 'error'",
                f"{self.name} %",
            ),
            "history": sorted((row if row in old else "new", action) for row, action in history),
        }

    def committed(self) -> bool:
        return bool(self.scene.value("SELECT count(*) > 0 FROM shop.shelves WHERE name = %s", self.name))
