"""What an export looks like, cell by cell."""

import csv
import io
import json

import pytest

from homing.apps.fieldwork.exports import (
    COLUMNS,
    Exported,
    csv_header,
    csv_lines,
    geojson_features,
    geojson_head,
    geojson_tail,
)


def submission(data: object, **changed: object) -> Exported:
    columns = {
        "id": "s-1",
        "form": "penguins",
        "form_version": "v1",
        "status": "pending",
        "team": "Dream",
        "author": "ana",
        "device": "phone-1",
        "created_at": "2026-01-02T03:04:05.000000Z",
        "reviewed_at": None,
        "review_notes": None,
        "lat": -64.5,
        "lon": -64.25,
        "data": data,
        "media": [],
    }
    return Exported(**{**columns, **changed})


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ('say "hi", twice\nthen go', 'say "hi", twice\nthen go'),
        (-26.5, "-26.5"),
        (12, "12"),
        (True, "true"),
        (None, ""),
        ([1, "=2"], '[1,"=2"]'),
        ({"a": None}, '{"a":null}'),
    ],
)
def test_text_never_runs_as_a_formula_and_numbers_stay_numbers(value, cell) -> None:
    (line,) = csv.reader(io.StringIO(csv_lines([submission({"x": value})], ["x"]), newline=""))
    assert line[-1] == cell


def test_columns_come_from_the_form_or_hold_all_data() -> None:
    assert csv_header(["a", "b"]) == ",".join([*COLUMNS, "a", "b"]) + "\r\n"
    assert csv_header([]) == ",".join([*COLUMNS, "data"]) + "\r\n"
    row = submission(
        {"a": 1}, reviewed_at="2026-01-03T00:00:00.000000Z", review_notes="=x", status="approved", lat=None
    )
    (line,) = csv.reader(io.StringIO(csv_lines([row], []), newline=""))
    assert dict(zip([*COLUMNS, "data"], line, strict=True)) == {
        "id": "s-1",
        "form": "penguins",
        "form_version": "v1",
        "status": "approved",
        "team": "Dream",
        "author": "ana",
        "device": "phone-1",
        "created_at": "2026-01-02T03:04:05.000000Z",
        "reviewed_at": "2026-01-03T00:00:00.000000Z",
        "review_notes": "'=x",
        "lat": "",
        "lon": "-64.25",
        "data": '{"a":1}',
    }


def test_features_make_one_collection_whatever_the_chunks() -> None:
    rows = [submission({"n": n}, id=f"s-{n}", lat=None if n == 2 else -64.5) for n in range(4)]
    text = (
        geojson_head()
        + geojson_features(rows[:1], first=True)
        + geojson_features(rows[1:3], first=False)
        + geojson_features([], first=False)
        + geojson_features(rows[3:], first=False)
        + geojson_tail()
    )
    properties = {
        "form": "penguins",
        "form_version": "v1",
        "status": "pending",
        "team": "Dream",
        "author": "ana",
        "device": "phone-1",
        "created_at": "2026-01-02T03:04:05.000000Z",
        "reviewed_at": None,
        "review_notes": None,
        "media": [],
    }
    point = {"type": "Point", "coordinates": [-64.25, -64.5]}
    assert json.loads(text) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": f"s-{n}",
                "geometry": None if n == 2 else point,
                "properties": {**properties, "data": {"n": n}},
            }
            for n in range(4)
        ],
    }
