"""The observations: Palmer Station LTER, 2007 to 2009, from the package palmerpenguins (raw data set, CC0).

344 penguins on three islands: who, where, when the nest was visited, what was measured, and what the observers wrote
beside it. Horst, Hill and Gorman (2020); Gorman, Williams and Fraser (2014), doi 10.1371/journal.pone.0090081.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ISLANDS = ("Torgersen", "Biscoe", "Dream")
PLACES: Mapping[str, tuple[float, float]] = {
    "Torgersen": (-64.7667, -64.0833),
    "Biscoe": (-65.4333, -65.5),
    "Dream": (-64.7333, -64.2333),
}
"""Latitude and longitude of each island; the data set names islands only."""

CODE = "penguins"
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Penguin at the nest",
    "type": "object",
    "properties": {
        "study": {"type": "string", "pattern": "^PAL[0-9]{4}$"},
        "sample": {"type": "integer", "minimum": 1},
        "species": {
            "enum": [
                "Adelie Penguin (Pygoscelis adeliae)",
                "Chinstrap penguin (Pygoscelis antarctica)",
                "Gentoo penguin (Pygoscelis papua)",
            ]
        },
        "island": {"enum": list(ISLANDS)},
        "individual": {"type": "string", "minLength": 2},
        "stage": {"type": "string"},
        "clutch_complete": {"type": "boolean"},
        "egg_date": {"type": "string", "format": "date"},
        "culmen_length_mm": {"type": "number", "minimum": 25, "maximum": 70},
        "culmen_depth_mm": {"type": "number", "minimum": 10, "maximum": 30},
        "flipper_length_mm": {"type": "number", "minimum": 150, "maximum": 260},
        "body_mass_g": {"type": "number", "minimum": 2000, "maximum": 8000},
        "sex": {"enum": ["FEMALE", "MALE"]},
        "delta_15_n": {"type": "number"},
        "delta_13_c": {"type": "number"},
        "comments": {"type": "string"},
    },
    "required": ["study", "sample", "species", "island", "individual", "egg_date"],
    "additionalProperties": False,
}

_COLUMNS = {
    "study": "studyName",
    "sample": "Sample Number",
    "species": "Species",
    "island": "Island",
    "individual": "Individual ID",
    "stage": "Stage",
    "clutch_complete": "Clutch Completion",
    "egg_date": "Date Egg",
    "culmen_length_mm": "Culmen Length (mm)",
    "culmen_depth_mm": "Culmen Depth (mm)",
    "flipper_length_mm": "Flipper Length (mm)",
    "body_mass_g": "Body Mass (g)",
    "sex": "Sex",
    "delta_15_n": "Delta 15 N (o/oo)",
    "delta_13_c": "Delta 13 C (o/oo)",
    "comments": "Comments",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """One penguin. ``data`` is what the form asks for; what was not measured is not in it."""

    island: str
    date: str
    data: Mapping[str, Any]


def observations() -> list[Observation]:
    """All 344, in the order in which the nests were visited. Raises ModuleNotFoundError without the package."""
    from palmerpenguins import load_penguins_raw  # noqa: PLC0415 - brings pandas, which nothing else here needs

    rows = load_penguins_raw().to_dict("records")
    found = [_observation(row) for row in rows]
    return sorted(found, key=lambda each: (each.date, each.island, each.data["species"], each.data["sample"]))


def _observation(row: Mapping[str, Any]) -> Observation:
    data = {name: row[column] for name, column in _COLUMNS.items() if not _is_missing(row[column])}
    data["sample"] = int(data["sample"])
    if "clutch_complete" in data:
        data["clutch_complete"] = data["clutch_complete"] == "Yes"
    if data.get("sex") not in ("FEMALE", "MALE"):
        data.pop("sex", None)
    return Observation(data["island"], data["egg_date"], data)


def _is_missing(value: Any) -> bool:
    """NaN, as pandas says it, in columns of text too: the one value that differs from itself."""
    return bool(value != value)  # noqa: PLR0124
