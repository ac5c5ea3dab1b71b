"""A form's JSON Schema: checked when it is published, and what submissions are judged by.

Draft 2020-12. Two things are narrower than the draft allows, because schemas are written by the office and applied to
whatever any device sends: references stay inside the schema (nothing is ever fetched), and patterns run on an engine
that is linear in the text, so look-around and back-references are refused at publish rather than found out in the
field. ``format`` is checked, not only noted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

SCHEMA_BYTES_MAX = 256 * 2**10
"""Bytes of a form's schema. Every device holds every version of every published form."""
FAULTS_MAX = 20
"""Faults listed of one submission. Beyond that the form is the wrong one, and the rest is noise on a small screen."""
VALIDATORS_MAX = 256
"""Compiled schemas kept in memory. With more versions in use, some are compiled again: about 0.1 ms each."""

Validator: TypeAlias = Draft202012Validator

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_META = Draft202012Validator({"$ref": _DRAFT}, offline=True, mask="it")
_WORDS_MAX = 200


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (a JSON Pointer, ``/data/mass``) and a sentence."""

    path: str
    message: str


def pointer(start: str, steps: Sequence[str | int]) -> str:
    """A JSON Pointer (RFC 6901): ``pointer("/data", ["a/b", 0])`` is ``/data/a~1b/0``."""
    return start + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def compiled(schema: dict[str, Any]) -> Validator:
    """The validator of a schema that ``schema_faults`` found nothing wrong with. Values stay out of its messages:
    a device's text has no business in the server's log, and need not travel back."""
    return Draft202012Validator(schema, validate_formats=True, offline=True, pattern_options=RegexOptions(), mask="it")


def schema_faults(schema: object) -> list[Fault]:
    """Everything that keeps ``schema`` from being published, each with its path in the schema."""
    if not isinstance(schema, dict):
        return [Fault("", "a form's schema is a JSON object")]
    if len(msgspec.json.encode(schema)) > SCHEMA_BYTES_MAX:
        return [Fault("", f"a form's schema has at most {SCHEMA_BYTES_MAX} bytes")]
    if schema.get("$schema", _DRAFT) != _DRAFT:
        return [Fault("/$schema", f"write the schema for {_DRAFT}, or leave $schema out")]
    if schema.get("type") != "object":
        return [Fault("/type", 'a submission is a JSON object, so the schema\'s type must be "object"')]
    faults = [_fault("", error) for error in _META.iter_errors(schema)]
    if faults:
        return faults
    try:
        compiled(schema)
    except ValidationError as error:  # what no meta-schema can say: references and patterns
        where = pointer("", error.instance_path)
        if error.instance_path and error.instance_path[-1] == "pattern":
            return [Fault(where, "the pattern is not a regular expression without look-around and back-references")]
        return [Fault(where, error.message[:_WORDS_MAX])]
    return []


def data_faults(validator: Validator, data: object) -> list[Fault]:
    """What is wrong with a submission's data, at most ``FAULTS_MAX`` faults, by path."""
    faults = (fault for error in validator.iter_errors(data) for fault in _data_faults_of(error))
    return sorted(islice(faults, FAULTS_MAX), key=lambda fault: fault.path)


def sentence(faults: Sequence[Fault]) -> str:
    """All faults in one line: ``/data/mass is missing; /data/year is less than the minimum of 2000``."""
    return "; ".join(f"{fault.path} {fault.message}" for fault in faults)


def _data_faults_of(error: ValidationError) -> Iterator[Fault]:
    steps = error.instance_path
    match error.kind.name:
        case "required":
            yield Fault(pointer("/data", [*steps, error.kind.value]), "is missing")
        case "additionalProperties" | "unevaluatedProperties":
            for name in error.kind.value:
                yield Fault(pointer("/data", [*steps, name]), "is not a field of this form")
        case _:
            yield _fault(pointer("/data", steps), error)


def _fault(start: str, error: ValidationError) -> Fault:
    path = start or pointer("", error.instance_path)
    return Fault(path, error.message.removeprefix("it ")[:_WORDS_MAX])


@dataclass(slots=True)
class Validators:
    """Compiled schemas by the id of their form version, least recently used out first.

    A version never changes and its id is made when it is published, so nothing here can go stale, whatever database
    the id is of.
    """

    kept: OrderedDict[UUID, Validator] = field(default_factory=OrderedDict)

    def get(self, version_id: UUID) -> Validator | None:
        found = self.kept.get(version_id)
        if found is not None:
            self.kept.move_to_end(version_id)
        return found

    def add(self, version_id: UUID, schema: dict[str, Any]) -> Validator:
        validator = self.kept[version_id] = compiled(schema)
        if len(self.kept) > VALIDATORS_MAX:
            self.kept.popitem(last=False)
        return validator
