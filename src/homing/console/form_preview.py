"""A form as its schema describes it, for the office to look at while it writes: what a phone's screen would ask.

It is a picture, not a judge: what it does not know is shown as JSON, and a schema that is wrong somewhere is drawn as
far as it goes (``fieldwork/forms.py`` says what is wrong with it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

FIELDS_MAX: Final = 300
DEPTH_MAX: Final = 8
LONG_TEXT: Final = 200
"""From this many characters on a text gets several lines."""
_KINDS: Final = {
    "date": "date",
    "date-time": "datetime-local",
    "time": "time",
    "email": "email",
    "uri": "url",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A field. ``kind``: as ``ui.field`` has it, or ``group`` for the head of an object's fields. ``path``: a JSON
    Pointer into the submission's data; ``level``: how deep it stands."""

    path: str
    label: str
    kind: str
    hint: str
    required: bool
    options: tuple[tuple[str, str], ...]
    level: int


def picture(schema: dict[str, Any]) -> list[Asked]:
    """The fields in the schema's order, at most FIELDS_MAX."""
    found: list[Asked] = []
    _fields(schema, schema, "", 0, found)
    return found[:FIELDS_MAX]


def _fields(root: dict[str, Any], schema: dict[str, Any], path: str, level: int, found: list[Asked]) -> None:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or level >= DEPTH_MAX:
        return
    needed = required if isinstance(required, list) else []
    for name, given in properties.items():
        if len(found) >= FIELDS_MAX:
            return
        inner = _resolved(root, given)
        where = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        title = inner.get("title")
        label = title if isinstance(title, str) and title else name
        kind, options = _kind(inner)
        found.append(Asked(where, label, kind, _hint(inner), name in needed, options, level))
        if kind == "group":
            _fields(root, inner, where, level + 1, found)
        elif _type(inner) == "array" and isinstance(items := _resolved(root, inner.get("items")), dict):
            _fields(root, items, f"{where}/0", level + 1, found)


def _resolved(root: dict[str, Any], schema: Any) -> dict[str, Any]:
    """The schema that is meant: a reference inside the form's own is followed, a few times."""
    for _ in range(DEPTH_MAX):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        target: Any = root
        for step in reference[2:].split("/"):
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        schema = target
    return schema if isinstance(schema, dict) else {}


def _type(schema: dict[str, Any]) -> str | None:
    """The one type that the field has beside null."""
    given = schema.get("type")
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    told = [name for name in names if isinstance(name, str) and name != "null"]
    return told[0] if len(told) == 1 else None


def _kind(schema: dict[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    choices = schema.get("enum")
    if isinstance(choices, list):
        return "select", tuple((str(at), _word(each)) for at, each in enumerate(choices[:FIELDS_MAX]))
    match _type(schema):
        case "object" if isinstance(schema.get("properties"), dict):
            return "group", ()
        case "boolean":
            return "checkbox", ()
        case "integer" | "number":
            return "number", ()
        case "string":
            form, longest = schema.get("format"), schema.get("maxLength")
            if isinstance(longest, int) and longest >= LONG_TEXT:
                return "textarea", ()
            return (_KINDS.get(form, "text") if isinstance(form, str) else "text"), ()
        case _:
            return "textarea", ()


def _hint(schema: dict[str, Any]) -> str:
    """What the field is for and what fits in it, in words."""
    said = [schema["description"]] if isinstance(schema.get("description"), str) else []
    kind = _type(schema)
    if kind == "array":
        said.append("several, one after another")
    elif kind == "object" and not isinstance(schema.get("properties"), dict):
        said.append("an object")
    elif kind == "integer":
        said.append("a whole number")
    words = (
        ("minimum", "at least {}"),
        ("exclusiveMinimum", "more than {}"),
        ("maximum", "at most {}"),
        ("exclusiveMaximum", "less than {}"),
        ("multipleOf", "a multiple of {}"),
        ("minLength", "at least {} characters"),
        ("maxLength", "at most {} characters"),
        ("minItems", "at least {} of them"),
        ("maxItems", "at most {} of them"),
        ("pattern", "like {}"),
        ("const", "always {}"),
    )
    said += [words_of.format(_word(schema[name])) for name, words_of in words if name in schema]
    return "; ".join(said)


def _word(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)[:LONG_TEXT]
