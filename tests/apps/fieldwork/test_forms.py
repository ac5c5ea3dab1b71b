"""A form's schema when it is published, and what it says about data."""

from uuid import uuid4

import pytest

from homing.apps.fieldwork.forms import (
    FAULTS_MAX,
    SCHEMA_BYTES_MAX,
    VALIDATORS_MAX,
    Fault,
    Validators,
    compiled,
    data_faults,
    schema_faults,
    sentence,
)

SCHEMA = {
    "type": "object",
    "properties": {
        "species": {"enum": ["Adelie", "Gentoo"]},
        "mass": {"type": "number", "minimum": 2000},
        "date": {"type": "string", "format": "date"},
        "a/b": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["species"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "faults"),
    [
        (SCHEMA, []),
        ({"type": "object"}, []),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}, []),
        ([], [Fault("", "a form's schema is a JSON object")]),
        (True, [Fault("", "a form's schema is a JSON object")]),
        ({}, [Fault("/type", 'a submission is a JSON object, so the schema\'s type must be "object"')]),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
            [
                Fault(
                    "/$schema",
                    "write the schema for https://json-schema.org/draft/2020-12/schema, or leave $schema out",
                )
            ],
        ),
        (
            {"type": "object", "required": "species", "properties": {"mass": {"minimum": "2000", "type": "numbr"}}},
            [
                Fault("/properties/mass/minimum", 'is not of type "number"'),
                Fault("/properties/mass/type", "is not valid under any of the schemas listed in the 'anyOf' keyword"),
                Fault("/required", 'is not of type "array"'),
            ],
        ),
        (
            {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}},
            [Fault("", "Pointer '/$defs/x' does not exist")],
        ),
        (
            {"type": "object", "properties": {"x": {"pattern": "(?=a)b"}}},
            [
                Fault(
                    "/properties/x/pattern",
                    "the pattern is not a regular expression without look-around and back-references",
                )
            ],
        ),
        (
            {"type": "object", "title": "x" * SCHEMA_BYTES_MAX},
            [Fault("", f"a form's schema has at most {SCHEMA_BYTES_MAX} bytes")],
        ),
    ],
)
def test_every_fault_of_a_schema_is_named_with_its_path(schema, faults) -> None:
    assert sorted(schema_faults(schema), key=lambda fault: fault.path) == faults


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/schema", "file:///etc/hostname", "https://example.org/x"])
def test_a_schema_never_makes_the_server_fetch_anything(address) -> None:
    (fault,) = schema_faults({"type": "object", "properties": {"x": {"$ref": address}}})
    assert "Retrieval is disabled" in fault.message


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        ({"species": "Adelie", "mass": 2000, "date": "2007-11-11", "a/b": [1]}, []),
        ({}, [Fault("/data/species", "is missing")]),
        ({"species": "Emperor"}, [Fault("/data/species", 'is not one of "Adelie" or "Gentoo"')]),
        (
            {"species": "Adelie", "mass": 1999, "date": "2007-13-11", "a/b": [1, "x"], "colour": "black"},
            [
                Fault("/data/a~1b/1", 'is not of type "integer"'),
                Fault("/data/colour", "is not a field of this form"),
                Fault("/data/date", 'is not a "date"'),
                Fault("/data/mass", "is less than the minimum of 2000"),
            ],
        ),
        (None, [Fault("/data", 'is not of type "object"')]),
        ([1], [Fault("/data", 'is not of type "object"')]),
    ],
)
def test_every_fault_of_the_data_is_named_with_its_path(data, faults) -> None:
    assert data_faults(compiled(SCHEMA), data) == faults


def test_faults_read_as_one_sentence_and_are_bounded() -> None:
    validator = compiled(SCHEMA)
    assert sentence(data_faults(validator, {"mass": 1})) == (
        "/data/mass is less than the minimum of 2000; /data/species is missing"
    )
    many = data_faults(validator, {f"x{n}": n for n in range(1000)})
    assert [fault.message for fault in many] == ["is not a field of this form"] * FAULTS_MAX


def test_a_hostile_pattern_and_text_take_no_time() -> None:
    validator = compiled({"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}})
    assert data_faults(validator, {"x": "a" * 50_000 + "!"}) == [Fault("/data/x", 'does not match "^(a+)+$"')]


def test_the_least_used_schema_is_forgotten_first() -> None:
    validators = Validators()
    ids = [uuid4() for _ in range(VALIDATORS_MAX + 1)]
    for each in ids[:-1]:
        validators.add(each, SCHEMA)
    assert validators.get(ids[0]) is not None
    validators.add(ids[-1], SCHEMA)
    assert (validators.get(ids[0]) is not None, validators.get(ids[1]), len(validators.kept)) == (
        True,
        None,
        VALIDATORS_MAX,
    )
